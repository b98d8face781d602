{{- /*
  What differs between registries, by host. `authKey` is the registry's key in a Docker config, `url` its API, and
  `tokenUrl` where BinderHub gets a token before it asks for an image. Without `tokenUrl` BinderHub sends the login with
  its request and follows the registry's challenge. That does not work with these:
  - Docker Hub answers 401 for a missing image, which BinderHub takes for "missing" only when it has a token.
  - ghcr.io names no real repository in its challenge for a missing image.
  - Google's path is the one that BinderHub uses for gcr.io.
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

{{- /* The registry of registry.server, as JSON: the keys above and `host`, its host and port; {} if it is not set. */}}
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

{{- /* Whether BinderHub pushes images: "true" or empty. Its own default is true. */}}
{{- define "binderhub-service.registry.pushes" -}}
    {{- if dig "use_registry" true .Values.config.BinderHub | toString | ne "false" }}true{{ end }}
{{- end }}

{{- /* The password without the newline that an editor adds at the end of a file. */}}
{{- define "binderhub-service.registry.password" -}}
    {{- .Values.registry.password | trimSuffix "\n" | trimSuffix "\r" }}
{{- end }}
