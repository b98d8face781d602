{{- /*
  All files of the docker-api pod, as dockerApi.extraFiles has them, as JSON: those, what the registry needs, and with the
  cleaner, that the daemon bounds its build cache.
*/}}
{{- define "binderhub-service.docker-api.files" -}}
    {{- $files := include "binderhub-service.registry.docker-api-files" . | fromJson }}
    {{- if .Values.dockerApi.cleaner.enabled }}
        {{- $key := "chart-daemon.json" }}
        {{- range $name, $file := $files }}
            {{- if eq $file.mountPath "/etc/docker/daemon.json" }}
                {{- $key = $name }}
            {{- end }}
        {{- end }}
        {{- $file := get $files $key | default (dict "mountPath" "/etc/docker/daemon.json" "data" dict) }}
        {{- if not (hasKey $file "data") }}
            {{- printf "dockerApi.cleaner adds to daemon.json, which dockerApi.extraFiles.%s gives as text. Give it as data, a mapping." $key | fail }}
        {{- end }}
        {{- $builder := get $file.data "builder" | default dict }}
        {{- if not (hasKey $builder "gc") }}
            {{- $cache := include "binderhub-service.docker-api.cache-size" . }}
            {{- $gc := merge (dict "enabled" true) (ternary (dict "defaultKeepStorage" $cache) dict (ne $cache "")) }}
            {{- $_ := set $file "data" (set $file.data "builder" (set $builder "gc" $gc)) }}
        {{- end }}
        {{- $_ := set $files $key $file }}
    {{- end }}
    {{- $files | toJson }}
{{- end }}

{{- /* How much build cache the daemon keeps; empty for its own tenth of the disk. */}}
{{- define "binderhub-service.docker-api.cache-size" -}}
    {{- $limit := include "binderhub-service.docker-api.limit" . | int64 }}
    {{- if .Values.dockerApi.cleaner.cacheSize }}
        {{- .Values.dockerApi.cleaner.cacheSize }}
    {{- else if $limit }}
        {{- printf "%dKB" (div $limit 10) }}
    {{- end }}
{{- end }}

{{- /* The bound of an emptyDir for the daemon's data, in KiB; 0 where there is none. */}}
{{- define "binderhub-service.docker-api.limit" -}}
    {{- $size := dig "emptyDir" "sizeLimit" "" (.Values.dockerApi.storage | default dict) | toString }}
    {{- if $size }}
        {{- $bytes := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 }}
        {{- $unit := regexFind "[A-Za-z]*$" $size }}
        {{- if not (hasKey $bytes $unit) }}
            {{- printf "dockerApi.cleaner cannot read dockerApi.storage.emptyDir.sizeLimit, %s. Write it with Gi behind the number." $size | fail }}
        {{- end }}
        {{- divf (mulf (trimSuffix $unit $size | float64) (get $bytes $unit)) 1024 | int64 }}
    {{- else }}0{{ end }}
{{- end }}
