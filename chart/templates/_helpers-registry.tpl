{{- /*
  What registries want, by their host. `authKey` is the registry's key in docker's config, `url` its API, and `tokenUrl`
  where BinderHub gets a token before it asks. Without `tokenUrl` BinderHub sends the login with its question and follows
  the registry's challenge; with it, that is known not to do:
  - Docker Hub answers 401 for an image that is not there, which BinderHub understands only of a token.
  - ghcr.io names no real repository in its challenge where the image is not there.
  - Google's path is the one that BinderHub knows for gcr.io.
*/}}
{{- define "binderhub-service.registries" -}}
- pattern: ^((index|registry-1)\.)?docker\.io$
  authKey: https://index.docker.io/v1/
  url: https://registry-1.docker.io
  tokenUrl: https://auth.docker.io/token?service=registry.docker.io
- pattern: ^ghcr\.io$
  tokenUrl: https://HOST/token?service=HOST
- pattern: ^([a-z0-9-]+-docker\.pkg\.dev|([a-z]+\.)?gcr\.io)$
  tokenUrl: https://HOST/v2/token?service=HOST
- pattern: .
{{- end }}

{{- /* The registry of `registry.server`, as JSON with the keys above and `host`, its host and port; {} where none is named. */}}
{{- define "binderhub-service.registry" -}}
    {{- $found := dict }}
    {{- with .Values.registry.server }}
        {{- $host := . | trimPrefix "https://" | trimPrefix "http://" | trimSuffix "/" | trimSuffix "/v1" | trimSuffix "/v2" | lower }}
        {{- range include "binderhub-service.registries" $ | fromYamlArray }}
            {{- if and (not $found) (regexMatch .pattern $host) }}
                {{- $url := printf "%s://%s" (ternary "http" "https" $.Values.registry.insecure) $host }}
                {{- $found = dict
                    "host" $host
                    "authKey" (.authKey | default $host)
                    "url" (.url | default $url)
                    "tokenUrl" (.tokenUrl | default "" | replace "HOST" $host)
                }}
            {{- end }}
        {{- end }}
    {{- end }}
    {{- $found | toJson }}
{{- end }}

{{- /* Whether images are pushed: BinderHub does, unless use_registry is false. */}}
{{- define "binderhub-service.registry.pushes" -}}
    {{- if dig "use_registry" true .Values.config.BinderHub | toString | ne "false" }}true{{ end }}
{{- end }}

{{- /* The Secret that holds the docker config of build pods. */}}
{{- define "binderhub-service.registry.push-secret" -}}
    {{- .Values.registry.existingSecret | default (include "binderhub-service.build-pods-docker-config.fullname" .) }}
{{- end }}

{{- /* The password without the line's end that an editor puts at a file's end. */}}
{{- define "binderhub-service.registry.password" -}}
    {{- .Values.registry.password | trimSuffix "\n" | trimSuffix "\r" }}
{{- end }}

{{- /* What files/bhs_registry_login.py reads, as YAML; nothing where `registry` names no server. */}}
{{- define "binderhub-service.registry.for-binderhub" -}}
    {{- $registry := include "binderhub-service.registry" . | fromJson }}
    {{- if and $registry (include "binderhub-service.registry.pushes" .) }}
        {{- if .Values.registry.username }}
            {{- $login := dict "username" .Values.registry.username "password" (include "binderhub-service.registry.password" .) }}
            {{- $registry = merge $registry $login }}
        {{- end }}
        {{- with .Values.registry.existingSecret }}
            {{- $_ := set $registry "existingSecret" . }}
        {{- end }}
        {{- $registry | toYaml }}
    {{- end }}
{{- end }}

{{- /* What the Secret that exists, and the registry's authority, add to BinderHub's Deployment. */}}
{{- define "binderhub-service.registry.volumes" -}}
{{- with .Values.registry.existingSecret }}
- name: registry-login
  secret:
    secretName: {{ . | quote }}
{{- end }}
{{- if .Values.registry.certificateAuthority }}
- name: authorities
  emptyDir: {}
{{- end }}
{{- end }}

{{- define "binderhub-service.registry.volume-mounts" -}}
{{- if .Values.registry.existingSecret }}
- name: registry-login
  mountPath: /etc/binderhub/registry-login/
  readOnly: true
{{- end }}
{{- if .Values.registry.certificateAuthority }}
# Over the image's own, where Debian's OpenSSL, GnuTLS, libcurl and git look without being told.
- name: authorities
  mountPath: /etc/ssl/certs/ca-certificates.crt
  subPath: ca-certificates.crt
  readOnly: true
{{- end }}
{{- end }}

{{- define "binderhub-service.registry.env" -}}
{{- if .Values.registry.existingSecret }}
- name: DOCKER_CONFIG
  value: /etc/binderhub/registry-login
{{- end }}
{{- end }}

{{- /* Adds the registry's authority to those that BinderHub's image trusts. */}}
{{- define "binderhub-service.registry.init-containers" -}}
{{- if .Values.registry.certificateAuthority }}
- name: authorities
  image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
  {{- with .Values.image.pullPolicy }}
  imagePullPolicy: {{ . }}
  {{- end }}
  command:
    - sh
    - -c
    - cat /etc/ssl/certs/ca-certificates.crt /etc/binderhub/mounted-secret/registry-authority.crt > /authorities/ca-certificates.crt
  volumeMounts:
    - name: secret
      mountPath: /etc/binderhub/mounted-secret/
      readOnly: true
    - name: authorities
      mountPath: /authorities
  resources:
    {{- .Values.resources | toYaml | nindent 4 }}
  securityContext:
    {{- .Values.securityContext | toYaml | nindent 4 }}
{{- end }}
{{- end }}

{{- /*
  dockerApi.extraFiles, with what lets dockerd reach the registry: its authority, or that it speaks plain HTTP. As JSON.
  The latter goes into daemon.json, since dockerd refuses to start where an option is in there and in its arguments.
*/}}
{{- define "binderhub-service.registry.docker-api-files" -}}
    {{- include "binderhub-service.registry.guards" . }}
    {{- $files := .Values.dockerApi.extraFiles | default dict | deepCopy }}
    {{- $host := (include "binderhub-service.registry" . | fromJson).host }}
    {{- with .Values.registry.certificateAuthority }}
        {{- $path := printf "/etc/docker/certs.d/%s/ca.crt" $host }}
        {{- $_ := set $files "chart-registry-authority.crt" (dict "mountPath" $path "stringData" .) }}
    {{- end }}
    {{- if .Values.registry.insecure }}
        {{- $key := "chart-daemon.json" }}
        {{- range $name, $file := $files }}
            {{- if eq $file.mountPath "/etc/docker/daemon.json" }}
                {{- $key = $name }}
            {{- end }}
        {{- end }}
        {{- $file := get $files $key | default (dict "mountPath" "/etc/docker/daemon.json" "data" dict) }}
        {{- $insecure := append (get $file.data "insecure-registries" | default list) $host | uniq }}
        {{- $_ := set $file "data" (set $file.data "insecure-registries" $insecure) }}
        {{- $_ := set $files $key $file }}
    {{- end }}
    {{- $files | toJson }}
{{- end }}

{{- /* Refuses what contradicts itself, with the mistake and what to do. */}}
{{- define "binderhub-service.registry.guards" -}}
    {{- $registry := .Values.registry }}
    {{- $host := (include "binderhub-service.registry" . | fromJson).host | default "" }}
    {{- if $registry.url }}
        {{- fail "registry.url is a value of BinderHub's own chart. Put the registry's host into registry.server." }}
    {{- end }}
    {{- if not $registry.server }}
        {{- range $name := list "username" "existingSecret" "certificateAuthority" "insecure" }}
            {{- if get $registry $name }}
                {{- printf "registry.%s is set, but not the registry that it is for. Set registry.server to its host: docker.io, quay.io, registry.example.org:5000 …" $name | fail }}
            {{- end }}
        {{- end }}
    {{- end }}
    {{- if contains "/" $host }}
        {{- printf "registry.server is %s, which is more than a host. Set it to %s, and give the rest in config.BinderHub.image_prefix." $registry.server (splitList "/" $host | first) | fail }}
    {{- end }}
    {{- if and (hasPrefix "http://" $registry.server) (not $registry.insecure) }}
        {{- printf "registry.server is %s, which speaks plain HTTP. Set registry.insecure to true as well, or leave out http://." $registry.server | fail }}
    {{- end }}
    {{- if and $registry.insecure $registry.certificateAuthority }}
        {{- fail "registry.insecure means plain HTTP, which has no certificate that registry.certificateAuthority could be for. Leave one of them out." }}
    {{- end }}
    {{- if and $registry.existingSecret $registry.username }}
        {{- fail "registry.existingSecret and registry.username are both set. Leave the one out that is not to be used." }}
    {{- end }}
    {{- if and $registry.existingSecret .Values.buildPodsDockerConfig }}
        {{- fail "registry.existingSecret and buildPodsDockerConfig are both the docker config of build pods. Put all of it into the Secret, and leave buildPodsDockerConfig out." }}
    {{- end }}
    {{- $login := or $registry.username $registry.existingSecret }}
    {{- if and $login .Values.buildPodsRegistryCredentials.username }}
        {{- fail "registry and buildPodsRegistryCredentials both have the login that build pods push with. Leave out buildPodsRegistryCredentials." }}
    {{- end }}
    {{- if and $registry.username (hasKey ((.Values.buildPodsDockerConfig | default dict).auths | default dict) (include "binderhub-service.registry" . | fromJson).authKey) }}
        {{- printf "buildPodsDockerConfig.auths has a login for %s, and registry.username is another. Leave one of them out." $host | fail }}
    {{- end }}
    {{- if $login }}
        {{- range $trait := list "url" "username" "password" "auth_config_url" "docker_config_path" }}
            {{- if get ($.Values.config.DockerRegistry | default dict) $trait }}
                {{- printf "config.DockerRegistry.%s and a login in registry are both set, and the chart makes the former of the latter. Leave out config.DockerRegistry.%s." $trait $trait | fail }}
            {{- end }}
        {{- end }}
    {{- end }}
    {{- range $name, $file := .Values.dockerApi.extraFiles }}
        {{- if and $registry.certificateAuthority (eq $file.mountPath (printf "/etc/docker/certs.d/%s/ca.crt" $host)) }}
            {{- printf "registry.certificateAuthority and dockerApi.extraFiles.%s are both the authority of %s. Leave one of them out." $name $host | fail }}
        {{- end }}
    {{- end }}
    {{- if $registry.insecure }}
        {{- range $name, $file := .Values.dockerApi.extraFiles }}
            {{- if and (eq $file.mountPath "/etc/docker/daemon.json") (not $file.data) }}
                {{- printf "registry.insecure adds to daemon.json, which dockerApi.extraFiles.%s gives as text. Give it as data, a mapping." $name | fail }}
            {{- end }}
        {{- end }}
        {{- range .Values.dockerApi.extraArgs }}
            {{- if hasPrefix "--insecure-registry" . }}
                {{- fail "registry.insecure adds to daemon.json, and dockerd refuses to read the same from there and from --insecure-registry in dockerApi.extraArgs. Leave out the argument; other registries go into a daemon.json in dockerApi.extraFiles." }}
            {{- end }}
        {{- end }}
    {{- end }}
{{- end }}

{{- /* What may be wrong, but need not: a list of sentences, as JSON. */}}
{{- define "binderhub-service.registry.warnings" -}}
    {{- $said := list }}
    {{- if include "binderhub-service.registry.pushes" . }}
        {{- $registry := include "binderhub-service.registry" . | fromJson }}
        {{- $config := .Values.buildPodsDockerConfig | default dict }}
        {{- $visible := or .Values.registry.username .Values.registry.existingSecret .Values.buildPodsRegistryCredentials.username $config.auths $config.credHelpers $config.credsStore }}
        {{- if not $visible }}
            {{- $said = append $said "Images are pushed without a login that this chart knows of. Set registry.server, registry.username and registry.password, or registry.existingSecret." }}
        {{- end }}
        {{- if and .Values.registry.username (not (include "binderhub-service.registry.password" .)) }}
            {{- $said = append $said "registry.password is empty." }}
        {{- end }}
        {{- $prefix := .Values.config.BinderHub.image_prefix | default "" }}
        {{- $first := splitList "/" $prefix | first }}
        {{- /* As docker reads names: what comes first is a host if it looks like one, else all of it is on Docker Hub. */}}
        {{- $host := ternary $first "docker.io" (and (contains "/" $prefix) (or (contains "." $first) (contains ":" $first) (eq $first "localhost"))) }}
        {{- $hub := regexMatch "^((index|registry-1)\\.)?docker\\.io$" ($registry.host | default "") }}
        {{- if and $registry (ne $host (ternary "docker.io" $registry.host $hub)) }}
            {{- $said = append $said (printf "registry.server is %s, but config.BinderHub.image_prefix (%q) sends images to %s." $registry.host $prefix $host) }}
        {{- end }}
    {{- end }}
    {{- $said | toJson }}
{{- end }}
