{{- /*
  Names of objects. A parent chart can include these too, to refer to an object of this chart; it sees its own .Values
  and .Chart then, hence "scope". That works for a direct parent, and while this chart has no alias.
*/}}

{{- /* The values that names are made of, as JSON, whether this chart or its parent asks. */}}
{{- define "binderhub-service.scope" -}}
    {{- $values := .Values }}
    {{- $chart := .Chart.Name }}
    {{- if and (ne .Chart.Name "binderhub-service") (hasKey .Values "binderhub-service") }}
        {{- $values = index .Values "binderhub-service" }}
        {{- $chart = "binderhub-service" }}
    {{- end }}
    {{- dict
        "name" ($values.nameOverride | default $chart)
        "fullnameOverride" $values.fullnameOverride
        "serviceAccount" $values.serviceAccount
        | toJson
    }}
{{- end }}

{{- /* The prefix of all names: fullnameOverride if it is a string, else the release's name with the chart's. */}}
{{- define "binderhub-service.fullname" -}}
    {{- $scope := include "binderhub-service.scope" . | fromJson }}
    {{- if kindIs "string" $scope.fullnameOverride }}
        {{- $scope.fullnameOverride }}
    {{- else if contains $scope.name .Release.Name }}
        {{- .Release.Name }}
    {{- else }}
        {{- .Release.Name }}-{{ $scope.name }}
    {{- end }}
{{- end }}

{{- /* The prefix with a dash behind it, or nothing. */}}
{{- define "binderhub-service.fullname.dash" -}}
    {{- with include "binderhub-service.fullname" . }}
        {{- . }}-
    {{- end }}
{{- end }}

{{- /* Deployment, Service, Secret, Role and RoleBinding of BinderHub */}}
{{- define "binderhub-service.binderhub.fullname" -}}
    {{- include "binderhub-service.fullname.dash" . }}binderhub
{{- end }}

{{- /* ServiceAccount of BinderHub; empty where none is made and none is named */}}
{{- define "binderhub-service.binderhub.serviceaccount.fullname" -}}
    {{- $account := (include "binderhub-service.scope" . | fromJson).serviceAccount }}
    {{- if $account.create }}
        {{- $account.name | default (include "binderhub-service.binderhub.fullname" .) }}
    {{- else }}
        {{- $account.name }}
    {{- end }}
{{- end }}

{{- /* Ingress of BinderHub */}}
{{- define "binderhub-service.binderhub.ingress.fullname" -}}
    {{- include "binderhub-service.fullname" . | default "binderhub" }}
{{- end }}

{{- /* DaemonSet docker-api and the Secret with its files */}}
{{- define "binderhub-service.docker-api.fullname" -}}
    {{- include "binderhub-service.fullname.dash" . }}docker-api
{{- end }}

{{- /* ConfigMap with the authorities that build pods trust beside those of their image */}}
{{- define "binderhub-service.build-pods-authorities.fullname" -}}
    {{- include "binderhub-service.fullname.dash" . }}build-pods-authorities
{{- end }}

{{- /* Secret with the docker config that build pods push with */}}
{{- define "binderhub-service.build-pods-docker-config.fullname" -}}
    {{- include "binderhub-service.fullname.dash" . }}build-pods-docker-config
{{- end }}
