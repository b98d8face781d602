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

{{- /*
  Why anybody could build without a value that says so, as a sentence; nothing where a value does. JupyterHub's proxy
  can publish the service without any Ingress, so that a release which nothing here exposes needs such a value too.
*/}}
{{- define "binderhub-service.exposure.complaint" -}}
    {{- $ways := include "binderhub-service.exposed-by" . | fromJsonArray }}
    {{- if not (or (include "binderhub-service.auth-enabled" .) .Values.allowAnonymous) }}
        {{- if $ways }}
            {{- printf "BinderHub can be reached from outside of the cluster, by %s, and asks nobody who they are. Set hub.enabled to true to let only users of your JupyterHub build, or allowAnonymous to true if anybody may build." (join " and " $ways) }}
        {{- else if not (include "binderhub-service.exposure.clients-chosen" .) }}
            {{- print "No value says who may build. Set hub.enabled to true to let only users of your JupyterHub build, networkPolicy.binderhub.enabled to true to let only JupyterHub's proxy and hub and labelled pods connect (whoever they let through may build), or allowAnonymous to true to let anybody build who can reach BinderHub." }}
        {{- end }}
    {{- end }}
{{- end }}

{{- /* Whether a network policy chooses who may connect: "true", or nothing. An open port is open to everybody. */}}
{{- define "binderhub-service.exposure.clients-chosen" -}}
    {{- $policy := .Values.networkPolicy.binderhub }}
    {{- $open := false }}
    {{- range $policy.allowedIngressPorts }}
        {{- $open = or $open (has (toString . | trim) (list "http" (toString $.Values.config.BinderHub.port))) }}
    {{- end }}
    {{- range $policy.ingress }}
        {{- /* A rule without peers is for everybody. */}}
        {{- $open = or $open (not (get . "from")) }}
    {{- end }}
    {{- if and .Values.networkPolicy.enabled $policy.enabled (not $open) }}true{{ end }}
{{- end }}

{{- define "binderhub-service.exposure.guards" -}}
    {{- with include "binderhub-service.exposure.complaint" . }}
        {{- fail . }}
    {{- end }}
{{- end }}

{{- /* What may be wrong with who may build, but need not: a list of sentences, as JSON. */}}
{{- define "binderhub-service.exposure.warnings" -}}
    {{- $said := list }}
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
