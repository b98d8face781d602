{{- /* The container beside the daemon that keeps room on its disk: files/docker-api-cleaner.sh. */}}
{{- define "binderhub-service.docker-api.cleaner" -}}
{{- $cleaner := .Values.dockerApi.cleaner }}
{{- if le (int $cleaner.highPercent) (int $cleaner.lowPercent) }}
    {{- printf "dockerApi.cleaner.lowPercent is %d, and cleaning begins at highPercent, %d. Set lowPercent lower." (int $cleaner.lowPercent) (int $cleaner.highPercent) | fail }}
{{- end }}
{{- if ne .Values.buildPods.executor "service" }}
    {{- fail "dockerApi.cleaner learns from build pods that a build runs, and those of buildPods.executor: upstream do not tell. Leave one of the two out." }}
{{- end -}}
- name: cleaner
  {{- include "binderhub-service.docker-api.image" . | nindent 2 }}
  command:
    - sh
    - -c
    - |
      {{- .Files.Get "files/docker-api-cleaner.sh" | trim | nindent 6 }}
  env:
    - name: DATA
      value: {{ include "binderhub-service.docker-api.data-root" . }}
    - name: SOCKET
      value: {{ include "binderhub-service.docker-api.socket" . }}
    - name: HIGH
      value: {{ $cleaner.highPercent | int | quote }}
    - name: LOW
      value: {{ $cleaner.lowPercent | int | quote }}
    - name: KEEP_SECONDS
      value: {{ mulf $cleaner.keepHours 3600 | int | quote }}
    - name: INTERVAL
      value: {{ $cleaner.intervalSeconds | int | quote }}
    - name: LIMIT_KIB
      value: {{ include "binderhub-service.docker-api.limit" . | quote }}
  volumeMounts:
    - name: data
      mountPath: {{ include "binderhub-service.docker-api.data-root" . }}
      readOnly: true
    - name: socket
      mountPath: {{ include "binderhub-service.docker-api.socket-directory" . }}
      readOnly: true
  resources:
    {{- $cleaner.resources | toYaml | nindent 4 }}
  securityContext:
    runAsUser: 0
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities:
      drop: [ALL]
      # To measure folders that belong to the users of images.
      add: [DAC_READ_SEARCH]
{{- end }}
