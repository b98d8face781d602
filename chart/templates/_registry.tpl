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
        {{- with .Values.registry.tokenHosts }}
            {{- $_ := set $registry "tokenHosts" . }}
        {{- end }}
        {{- $registry | toYaml }}
    {{- end }}
{{- end }}
