{{- /* Labels of every object */}}
{{- define "binderhub-service.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "binderhub-service.appLabels" . }}
app.kubernetes.io/version: {{ .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* With app.kubernetes.io/component, the selector labels. Selectors are immutable: nothing may be added here. */}}
{{- define "binderhub-service.appLabels" -}}
app.kubernetes.io/name: {{ (include "binderhub-service.scope" . | fromJson).name | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}
