{{- /*
  The files of the docker-api pod, as JSON in the form of dockerApi.extraFiles: those, and what the chart adds for the
  registry and the cleaner. Its dockerd options go into daemon.json, because dockerd does not
  start when an option is both there and among its arguments.
*/}}
{{- define "binderhub-service.docker-api.files" -}}
    {{- $files := .Values.dockerApi.extraFiles | default dict | deepCopy }}
    {{- $host := (include "binderhub-service.registry" . | fromJson).host }}
    {{- with .Values.registry.certificateAuthority }}
        {{- $path := printf "/etc/docker/certs.d/%s/ca.crt" $host }}
        {{- $_ := set $files "chart-registry-authority.crt" (dict "mountPath" $path "stringData" .) }}
    {{- end }}
    {{- $cleaner := .Values.dockerApi.cleaner.enabled }}
    {{- if or .Values.registry.insecure $cleaner }}
        {{- $key := include "binderhub-service.docker-api.daemon-json-key" . | default "chart-daemon.json" }}
        {{- $file := get $files $key | default (dict "mountPath" "/etc/docker/daemon.json") }}
        {{- $options := $file.data | default dict }}
        {{- if .Values.registry.insecure }}
            {{- $_ := set $options "insecure-registries" (append (get $options "insecure-registries" | default list) $host | uniq) }}
        {{- end }}
        {{- $builder := get $options "builder" | default dict }}
        {{- if and $cleaner (not (hasKey $builder "gc")) }}
            {{- $cache := include "binderhub-service.docker-api.cache-size" . }}
            {{- $gc := merge (dict "enabled" true) (ternary (dict "defaultKeepStorage" $cache) dict (ne $cache "")) }}
            {{- $_ := set $options "builder" (set $builder "gc" $gc) }}
        {{- end }}
        {{- $_ := set $files $key (set $file "data" $options) }}
    {{- end }}
    {{- $files | toJson }}
{{- end }}

{{- /* The build cache that the daemon keeps. Empty leaves dockerd's own default, a tenth of the disk. */}}
{{- define "binderhub-service.docker-api.cache-size" -}}
    {{- $limit := include "binderhub-service.docker-api.storage-limit" . | int64 }}
    {{- if .Values.dockerApi.cleaner.cacheSize }}
        {{- .Values.dockerApi.cleaner.cacheSize }}
    {{- else if $limit }}
        {{- printf "%dKB" (div $limit 10) }}
    {{- end }}
{{- end }}

{{- /* The key of daemon.json in dockerApi.extraFiles; empty if it is not there. */}}
{{- define "binderhub-service.docker-api.daemon-json-key" -}}
    {{- $key := "" }}
    {{- range $name, $file := .Values.dockerApi.extraFiles }}
        {{- if eq $file.mountPath "/etc/docker/daemon.json" }}
            {{- $key = $name }}
        {{- end }}
    {{- end }}
    {{- $key }}
{{- end }}

{{- /* The options in the daemon.json of dockerApi.extraFiles, as JSON, in whatever form it is given. */}}
{{- define "binderhub-service.docker-api.daemon-json" -}}
    {{- $options := dict }}
    {{- with get (.Values.dockerApi.extraFiles | default dict) (include "binderhub-service.docker-api.daemon-json-key" .) }}
        {{- $options = .data | default (.stringData | default (.binaryData | default "" | nospace | b64dec) | fromJson) }}
    {{- end }}
    {{- $options | toJson }}
{{- end }}

{{- /*
  Files in the form of dockerApi.extraFiles as the `data` of a Secret: {key: base64}. An entry has its content as
  `binaryData` (base64), `stringData` (text) or `data` (a mapping, in the format of mountPath's extension).
*/}}
{{- define "binderhub-service.docker-api.files-data" -}}
    {{- $data := dict }}
    {{- range $key, $file := . }}
        {{- $extension := ext $file.mountPath }}
        {{- if $file.binaryData }}
            {{- $_ := set $data $key ($file.binaryData | nospace) }}
        {{- else if $file.stringData }}
            {{- $_ := set $data $key ($file.stringData | b64enc) }}
        {{- else if has $extension (list ".yaml" ".yml") }}
            {{- $_ := set $data $key ($file.data | toYaml | b64enc) }}
        {{- else if eq $extension ".json" }}
            {{- $_ := set $data $key ($file.data | toJson | b64enc) }}
        {{- else if eq $extension ".toml" }}
            {{- $_ := set $data $key (include "binderhub-service.toml" $file.data | b64enc) }}
        {{- end }}
    {{- end }}
    {{- $data | toYaml }}
{{- end }}

{{- /*
  A mapping as TOML. Helm reads all numbers as floating-point ones, and would write 4 as 4.0: whole numbers are written
  as such. toToml puts each value on one line of its own, after a key that may be quoted.
*/}}
{{- define "binderhub-service.toml" -}}
    {{- range $line := toToml . | trimSuffix "\n" | splitList "\n" }}
        {{- $key := regexFind "^\\s*(\"(\\\\.|[^\"\\\\])*\"|[^\"=\\[ ]+) = " $line }}
        {{- $value := "" }}
        {{- range $part := regexFindAll "\"(\\\\.|[^\"\\\\])*\"|-?[0-9][0-9.]*(e[+-][0-9]+)?|." (trimPrefix $key $line) -1 }}
            {{- if and $key (regexMatch "^-?[0-9]" $part) }}
                {{- $whole := printf "%.0f" (float64 $part) }}
                {{- $part = ternary $whole $part (eq (float64 $whole) (float64 $part)) }}
            {{- end }}
            {{- $value = print $value $part }}
        {{- end }}
        {{- $key }}{{ $value }}{{ print "\n" }}
    {{- end }}
{{- end }}
