{{- /* The pod template of the DaemonSet docker-api. What it is made of is also what NOTES compare, hence whole. */}}
{{- define "binderhub-service.docker-api.pod" -}}
{{- $files := include "binderhub-service.docker-api.files" . | fromJson -}}
metadata:
  labels:
    {{- include "binderhub-service.appLabels" . | nindent 4 }}
    app.kubernetes.io/component: docker-api
  {{- if or $files .Values.dockerApi.podAnnotations }}
  annotations:
    {{- with $files }}
    checksum/files: {{ include "binderhub-service.extra-files.data" . | sha256sum }}
    {{- end }}
    {{- with .Values.dockerApi.podAnnotations }}
    {{- . | toYaml | nindent 4 }}
    {{- end }}
  {{- end }}
spec:
  # dockerd asks Kubernetes for nothing.
  automountServiceAccountToken: false
  {{- include "binderhub-service.docker-api.placement" . | trim | nindent 2 }}
  {{- with .Values.dockerApi.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  {{- if not (kindIs "invalid" .Values.dockerApi.terminationGracePeriodSeconds) }}
  terminationGracePeriodSeconds: {{ .Values.dockerApi.terminationGracePeriodSeconds }}
  {{- end }}
  {{- with .Values.dockerApi.podSecurityContext }}
  securityContext:
    {{- . | toYaml | nindent 4 }}
  {{- end }}
  volumes:
    - name: data
      {{- if .Values.dockerApi.storage }}
      {{- .Values.dockerApi.storage | toYaml | nindent 6 }}
      {{- else }}
      hostPath:
        path: {{ include "binderhub-service.docker-api.data-root" . }}
        type: DirectoryOrCreate
      {{- end }}
    - name: socket
      hostPath:
        path: {{ include "binderhub-service.docker-api.socket-directory" . }}
        type: DirectoryOrCreate
    {{- with $files }}
    - name: files
      secret:
        secretName: {{ include "binderhub-service.docker-api.fullname" $ }}
        items:
          {{- range $key, $file := . }}
          - key: {{ $key | quote }}
            path: {{ $key | quote }}
            {{- with $file.mode }}
            mode: {{ . | int }}
            {{- end }}
          {{- end }}
    {{- end }}
    {{- with .Values.dockerApi.extraVolumes }}
    {{- tpl (. | toYaml) $ | nindent 4 }}
    {{- end }}
  initContainers:
    {{- include "binderhub-service.docker-api.stale-socket" . | nindent 4 }}
    {{- with .Values.dockerApi.initContainers }}
    {{- . | toYaml | nindent 4 }}
    {{- end }}
  containers:
    {{- include "binderhub-service.docker-api.daemon" . | nindent 4 }}
    {{- if .Values.dockerApi.cleaner.enabled }}
    {{- include "binderhub-service.docker-api.cleaner" . | nindent 4 }}
    {{- end }}
{{- end }}

{{- /* On which nodes its pods are, and how they get their images. */}}
{{- define "binderhub-service.docker-api.placement" -}}
{{- with .Values.dockerApi.image.pullSecrets }}
imagePullSecrets:
  {{- . | toYaml | nindent 2 }}
{{- end }}
{{- with include "binderhub-service.docker-api.node-selector" . | fromYaml }}
nodeSelector:
  {{- . | toYaml | nindent 2 }}
{{- end }}
{{- with .Values.dockerApi.affinity | default .Values.builders.affinity }}
affinity:
  {{- . | toYaml | nindent 2 }}
{{- end }}
{{- with .Values.dockerApi.tolerations }}
tolerations:
  {{- . | toYaml | nindent 2 }}
{{- end }}
{{- end }}
