{{- /* The pod template of the DaemonSet docker-api, in one piece: NOTES compare its checksum with the live one. */}}
{{- define "binderhub-service.docker-api.pod" -}}
{{- $files := include "binderhub-service.docker-api.files" . | fromJson }}
{{- $image := include "binderhub-service.docker-api.image" . }}
{{- $dataRoot := include "binderhub-service.docker-api.data-root" . }}
{{- $socketDirectory := include "binderhub-service.docker-api.socket-directory" . }}
{{- $socket := include "binderhub-service.docker-api.socket" . }}
{{- $host := printf "unix://%s" $socket }}
{{- $probe := dict "exec" (dict "command" (list "docker" "--host" $host "version")) | toYaml }}
{{- $daemonJson := include "binderhub-service.docker-api.daemon-json" . | fromJson }}
{{- $env := include "binderhub-service.env" .Values.dockerApi.extraEnv }}
{{- $memoryLimit := include "binderhub-service.docker-api.memory-limit" . }}
{{- $maxProcesses := .Values.dockerApi.maxProcesses | default 0 | int64 }}
{{- $cleaner := .Values.dockerApi.cleaner -}}
metadata:
  labels:
    {{- include "binderhub-service.appLabels" . | nindent 4 }}
    app.kubernetes.io/component: docker-api
  {{- if or $files .Values.dockerApi.podAnnotations }}
  annotations:
    {{- with $files }}
    checksum/files: {{ include "binderhub-service.docker-api.files-data" . | sha256sum }}
    {{- end }}
    {{- with .Values.dockerApi.podAnnotations }}
    {{- . | toYaml | nindent 4 }}
    {{- end }}
  {{- end }}
spec:
  # dockerd asks Kubernetes for nothing.
  automountServiceAccountToken: false
  {{- include "binderhub-service.docker-api.scheduling" . | trim | nindent 2 }}
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
        path: {{ $dataRoot }}
        type: DirectoryOrCreate
      {{- end }}
    - name: socket
      hostPath:
        path: {{ $socketDirectory }}
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
    {{- /*
      dockerd replaces a stale socket, but exits if a directory is in its place, which is what a mount of the path
      creates while no daemon runs.
    */}}
    - name: remove-stale-socket
      {{- $image | nindent 6 }}
      command: [rm, -rf, {{ $socket | quote }}]
      volumeMounts:
        - name: socket
          mountPath: {{ $socketDirectory }}
      resources:
        {{- include "binderhub-service.resources" .Values.dockerApi.resources | nindent 8 }}
      securityContext:
        {{- .Values.dockerApi.securityContext | toYaml | nindent 8 }}
    {{- with .Values.dockerApi.initContainers }}
    {{- include "binderhub-service.containers" . | nindent 4 }}
    {{- end }}
  containers:
    - name: docker-api
      {{- $image | nindent 6 }}
      # args, not command: the image's entry point prepares cgroups and iptables when its first argument is dockerd.
      args:
        - dockerd
        - --data-root={{ $dataRoot }}
        # No volume: a daemon that starts anew must not meet the process ids and sockets of the one before it.
        - --exec-root=/run/docker-api
        - --host={{ $host }}
        {{- /*
          Keeps the steps of one build from the network ports of another's. dockerd does not start with this argument
          if daemon.json sets `icc` too, or if iptables is off.
        */}}
        {{- if not (or (hasKey $daemonJson "icc") (eq "false" (include "binderhub-service.docker-api.option" (list . "iptables")))) }}
        - --icc=false
        {{- end }}
        {{- with .Values.dockerApi.extraArgs }}
        {{- . | toYaml | nindent 8 }}
        {{- end }}
      env:
        {{- /*
          BuildKit's own limits of a step's output, 2 MiB, would hide the reason of a failure. The kubelet keeps 10 MiB of
          a log; BuildKit says where it cuts.
        */}}
        {{- $names := list }}
        {{- range fromYamlArray $env }}
            {{- $names = append $names .name }}
        {{- end }}
        {{- range $name, $value := dict "BUILDKIT_STEP_LOG_MAX_SIZE" "10485760" "BUILDKIT_STEP_LOG_MAX_SPEED" "-1" }}
            {{- if not (has $name $names) }}
        - name: {{ $name }}
          value: {{ $value | quote }}
            {{- end }}
        {{- end }}
        {{- if $memoryLimit }}
        # In bytes, for the hook below.
        - name: STEPS_MEMORY
          valueFrom:
            resourceFieldRef:
              resource: limits.memory
        {{- end }}
        {{- with include "binderhub-service.outbound-proxy.env" (list . list) | trim }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- with $env }}
        {{- tpl . $ | nindent 8 }}
        {{- end }}
      {{- if or $maxProcesses $memoryLimit }}
      lifecycle:
        {{- /* Limits the memory and processes of the steps of Dockerfiles. */}}
        postStart:
          exec:
            command:
              - env
              - PROCESSES={{ $maxProcesses }}
              - PARENT={{ include "binderhub-service.docker-api.option" (list . "cgroup-parent") | default "docker" }}
              - CGROUPS=/sys/fs/cgroup
              - sh
              - -c
              - |
                {{- .Files.Get "files/docker-api-limits.sh" | trim | nindent 16 }}
      {{- end }}
      volumeMounts:
        - name: data
          mountPath: {{ $dataRoot }}
        - name: socket
          mountPath: {{ $socketDirectory }}
        {{- range $key, $file := $files }}
        - name: files
          mountPath: {{ $file.mountPath }}
          subPath: {{ $key | quote }}
        {{- end }}
        {{- with .Values.dockerApi.extraVolumeMounts }}
        {{- tpl (. | toYaml) $ | nindent 8 }}
        {{- end }}
      resources:
        {{- include "binderhub-service.resources" .Values.dockerApi.resources | nindent 8 }}
      securityContext:
        {{- .Values.dockerApi.securityContext | toYaml | nindent 8 }}
      # A data root of many images is read for minutes.
      startupProbe:
        periodSeconds: 2
        timeoutSeconds: 10
        failureThreshold: 300
        {{- $probe | nindent 8 }}
      readinessProbe:
        periodSeconds: 5
        timeoutSeconds: 5
        {{- $probe | nindent 8 }}
      # A restart ends every build on the node, and a busy daemon is slow to answer: only one that was silent in each of ten
      # questions, for ten minutes, is taken for dead.
      livenessProbe:
        periodSeconds: 60
        timeoutSeconds: 55
        failureThreshold: 10
        {{- $probe | nindent 8 }}
    {{- if $cleaner.enabled }}
    {{- /* Frees space on the daemon's disk. */}}
    - name: cleaner
      {{- $image | nindent 6 }}
      command:
        - sh
        - -c
        - |
          {{- .Files.Get "files/docker-api-cleaner.sh" | trim | nindent 10 }}
      env:
        - name: DATA
          value: {{ $dataRoot }}
        - name: SOCKET
          value: {{ $socket }}
        - name: HIGH
          value: {{ $cleaner.highPercent | int | quote }}
        - name: LOW
          value: {{ $cleaner.lowPercent | int | quote }}
        - name: KEEP_SECONDS
          value: {{ mulf $cleaner.keepHours 3600 | int | quote }}
        - name: INTERVAL
          value: {{ $cleaner.intervalSeconds | int | quote }}
        - name: LIMIT_KIB
          value: {{ include "binderhub-service.docker-api.storage-limit" . | quote }}
      volumeMounts:
        - name: data
          mountPath: {{ $dataRoot }}
          readOnly: true
        - name: socket
          mountPath: {{ $socketDirectory }}
          readOnly: true
      resources:
        {{- include "binderhub-service.resources" $cleaner.resources | nindent 8 }}
      securityContext:
        runAsUser: 0
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
          # To measure folders that belong to the users of images.
          add: [DAC_READ_SEARCH]
    {{- end }}
{{- end }}
