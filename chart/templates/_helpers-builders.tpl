{{- /* Labels of the nodes that get a daemon: those that build, and what dockerApi.nodeSelector adds. */}}
{{- define "binderhub-service.docker-api.node-selector" -}}
    {{- $labels := dict }}
    {{- with .Values.builders.architecture }}
        {{- $labels = dict "kubernetes.io/arch" . }}
    {{- end }}
    {{- mergeOverwrite $labels (.Values.builders.nodeSelector | default dict) (.Values.dockerApi.nodeSelector | default dict) | toYaml }}
{{- end }}

{{- /* The namespace of build pods and what they use */}}
{{- define "binderhub-service.build-pods.namespace" -}}
    {{- .Values.buildPods.namespace | default .Release.Namespace }}
{{- end }}
