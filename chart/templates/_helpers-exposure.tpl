{{- /* How BinderHub is reached from outside of the cluster: the values that say so, as a JSON list. */}}
{{- define "binderhub-service.exposed-by" -}}
    {{- $ways := list }}
    {{- if .Values.ingress.enabled }}
        {{- $ways = append $ways "ingress.enabled" }}
    {{- end }}
    {{- if .Values.httpRoute.enabled }}
        {{- $ways = append $ways "httpRoute.enabled" }}
    {{- end }}
    {{- if ne .Values.service.type "ClusterIP" }}
        {{- $ways = append $ways (printf "service.type %s" .Values.service.type) }}
    {{- end }}
    {{- $ways | toJson }}
{{- end }}

{{- /* What is wrong with who may build, as a sentence; nothing where somebody asks, or where that is wanted. */}}
{{- define "binderhub-service.exposure.complaint" -}}
    {{- $ways := include "binderhub-service.exposed-by" . | fromJsonArray }}
    {{- if and $ways (not (include "binderhub-service.auth-enabled" .)) (not .Values.allowAnonymous) }}
        {{- printf "BinderHub can be reached from outside of the cluster, by %s, and asks nobody who they are. Set hub.enabled to true, or allowAnonymous to true if anybody may build." (join " and " $ways) }}
    {{- end }}
{{- end }}

{{- /* Only a first installation is refused: an upgrade must not stop a service that runs. */}}
{{- define "binderhub-service.exposure.guards" -}}
    {{- if .Release.IsInstall }}
        {{- with include "binderhub-service.exposure.complaint" . }}
            {{- fail . }}
        {{- end }}
    {{- end }}
{{- end }}

{{- /* What may be wrong with who may build, but need not: a list of sentences, as JSON. */}}
{{- define "binderhub-service.exposure.warnings" -}}
    {{- $said := list }}
    {{- with include "binderhub-service.exposure.complaint" . }}
        {{- $said = append $said . }}
    {{- end }}
    {{- if and (include "binderhub-service.auth-enabled" .) (not .Values.hub.enabled) }}
        {{- $scoped := false }}
        {{- range include "binderhub-service.extra-env" . | fromYamlArray }}
            {{- $scoped = or $scoped (has .name (list "JUPYTERHUB_SERVICE_NAME" "JUPYTERHUB_OAUTH_ACCESS_SCOPES")) }}
        {{- end }}
        {{- if not $scoped }}
            {{- $said = append $said "config.BinderHub.auth_enabled is true, but BinderHub does not know its service's name, so any token of the JupyterHub will do. Set hub.enabled to true and hub.serviceName, and give those who may build the scope access:services!service=<name>." }}
        {{- end }}
    {{- end }}
    {{- $said | toJson }}
{{- end }}
