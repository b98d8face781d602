{{- /*
  Helpers of all components: names, labels, images and environment variables.

  A parent chart can include the names too, to refer to an object of this chart. The helpers then see the parent's
  .Values and .Chart, which is what "scope" is for. It works in a direct parent that gives this chart no alias.
*/}}

{{- /* The values that names are made of, as JSON, both in this chart and in its parent. */}}
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

{{- /*
  The ConfigMaps of the Python package that BinderHub loads, by name, as JSON: the files of each. They are two because
  `kubectl apply` keeps a copy of an object in an annotation, and refuses more than 256 KiB.
*/}}
{{- define "binderhub-service.binderhub-python" -}}
    {{- $name := printf "%sbinderhub-python" (include "binderhub-service.fullname.dash" .) }}
    {{- $modules := list }}
    {{- $packages := list }}
    {{- range $path, $_ := .Files.Glob "files/binderhub_service/**.py" }}
        {{- if eq (dir $path) "files/binderhub_service" }}
            {{- $modules = append $modules $path }}
        {{- else }}
            {{- $packages = append $packages $path }}
        {{- end }}
    {{- end }}
    {{- dict $name $modules (printf "%s-packages" $name) $packages | toJson }}
{{- end }}

{{- /* ServiceAccount of BinderHub; empty if the chart creates none and the values name none */}}
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

{{- /* ConfigMap with the certificate authorities that build pods trust beside those of their image */}}
{{- define "binderhub-service.build-pods-authorities.fullname" -}}
    {{- include "binderhub-service.fullname.dash" . }}build-pods-authorities
{{- end }}

{{- /* Secret with the docker config that build pods push with */}}
{{- define "binderhub-service.build-pods-docker-config.fullname" -}}
    {{- include "binderhub-service.fullname.dash" . }}build-pods-docker-config
{{- end }}

{{- /* The labels of every object */}}
{{- define "binderhub-service.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "binderhub-service.appLabels" . }}
app.kubernetes.io/version: {{ .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* The selector labels, together with app.kubernetes.io/component. Selectors are immutable: add nothing here. */}}
{{- define "binderhub-service.appLabels" -}}
app.kubernetes.io/name: {{ (include "binderhub-service.scope" . | fromJson).name | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- /* The name of an image, from its values. A digest is part of the tag: "29.5.2-dind@sha256:…". */}}
{{- define "binderhub-service.image" -}}
    {{- printf "%s:%s" .repository .tag | quote }}
{{- end }}

{{- /*
  The `env` of a container, from a list in that form, or from a mapping of names to values or to {valueFrom: …}. Helm
  merges the mappings of several values files, where it replaces lists; null removes a variable.
*/}}
{{- define "binderhub-service.env" -}}
    {{- if kindIs "map" . }}
        {{- $list := list }}
        {{- range $name, $value := . }}
            {{- if kindIs "map" $value }}
                {{- $list = append $list (merge (dict "name" $name) $value) }}
            {{- else if not (kindIs "invalid" $value) }}
                {{- /* toJson, since toString writes large numbers as 1e+07 */}}
                {{- $list = append $list (dict "name" $name "value" (kindIs "string" $value | ternary $value (toJson $value))) }}
            {{- end }}
        {{- end }}
        {{- with $list }}
            {{- . | toYaml }}
        {{- end }}
    {{- else if . }}
        {{- $list := list }}
        {{- range . }}
            {{- $entry := deepCopy . }}
            {{- /* A number or a boolean, which Kubernetes would refuse. */}}
            {{- if and (hasKey $entry "value") (not (kindIs "string" $entry.value)) (not (kindIs "invalid" $entry.value)) }}
                {{- $_ := set $entry "value" (toJson $entry.value) }}
            {{- end }}
            {{- $list = append $list $entry }}
        {{- end }}
        {{- $list | toYaml }}
    {{- end }}
{{- end }}

{{- /*
  Where this chart is below the release's own chart: the names of the charts on the way, which are those that `alias`
  gives them. Empty if it is that chart itself, or its subchart without an alias.
*/}}
{{- define "binderhub-service.alias" -}}
    {{- $names := .Template.BasePath | trimSuffix "/templates" | splitList "/charts/" | rest | default (list .Chart.Name) }}
    {{- $place := $names | join "/" }}
    {{- if ne $place "binderhub-service" }}{{ $place }}{{ end }}
{{- end }}

{{- /* A mapping without what is null, and with text for numbers and booleans, as YAML; empty if nothing is left. */}}
{{- define "binderhub-service.without-nulls" -}}
    {{- $kept := dict }}
    {{- range $key, $value := . }}
        {{- if not (kindIs "invalid" $value) }}
            {{- $_ := set $kept $key (kindIs "string" $value | ternary $value (toJson $value)) }}
        {{- end }}
    {{- end }}
    {{- with $kept }}
        {{- . | toYaml }}
    {{- end }}
{{- end }}

{{- /* The `resources` of a container, without what is null. */}}
{{- define "binderhub-service.resources" -}}
    {{- $kept := dict }}
    {{- range $kind, $amounts := . }}
        {{- if kindIs "map" $amounts }}
            {{- $_ := set $kept $kind (include "binderhub-service.without-nulls" $amounts | fromYaml) }}
        {{- else if not (kindIs "invalid" $amounts) }}
            {{- $_ := set $kept $kind $amounts }}
        {{- end }}
    {{- end }}
    {{- $kept | toYaml }}
{{- end }}

{{- /* Containers, as YAML, with the `env` of each as Kubernetes takes it. */}}
{{- define "binderhub-service.containers" -}}
    {{- $containers := list }}
    {{- range . }}
        {{- $container := deepCopy . }}
        {{- with include "binderhub-service.env" .env | fromYamlArray }}
            {{- $_ := set $container "env" . }}
        {{- end }}
        {{- $containers = append $containers $container }}
    {{- end }}
    {{- $containers | toYaml }}
{{- end }}
