{{- /* What the Secret that exists adds to BinderHub's Deployment. */}}
{{- define "binderhub-service.registry.volumes" -}}
{{- with .Values.registry.existingSecret }}
- name: registry-login
  secret:
    secretName: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "binderhub-service.registry.volume-mounts" -}}
{{- if .Values.registry.existingSecret }}
- name: registry-login
  mountPath: /etc/binderhub/registry-login/
  readOnly: true
{{- end }}
{{- end }}

{{- define "binderhub-service.registry.env" -}}
{{- if .Values.registry.existingSecret }}
- name: DOCKER_CONFIG
  value: /etc/binderhub/registry-login
{{- end }}
{{- end }}

{{- /*
  dockerApi.extraFiles, with what lets dockerd reach the registry: its authority, or that it speaks plain HTTP. As JSON.
  The latter goes into daemon.json, since dockerd refuses to start where an option is in there and in its arguments.
*/}}
{{- define "binderhub-service.registry.docker-api-files" -}}
    {{- include "binderhub-service.registry.guards" . }}
    {{- $files := .Values.dockerApi.extraFiles | default dict | deepCopy }}
    {{- $host := (include "binderhub-service.registry" . | fromJson).host }}
    {{- with .Values.registry.certificateAuthority }}
        {{- $path := printf "/etc/docker/certs.d/%s/ca.crt" $host }}
        {{- $_ := set $files "chart-registry-authority.crt" (dict "mountPath" $path "stringData" .) }}
    {{- end }}
    {{- if .Values.registry.insecure }}
        {{- $key := "chart-daemon.json" }}
        {{- range $name, $file := $files }}
            {{- if eq $file.mountPath "/etc/docker/daemon.json" }}
                {{- $key = $name }}
            {{- end }}
        {{- end }}
        {{- $file := get $files $key | default (dict "mountPath" "/etc/docker/daemon.json" "data" dict) }}
        {{- $insecure := append (get $file.data "insecure-registries" | default list) $host | uniq }}
        {{- $_ := set $file "data" (set $file.data "insecure-registries" $insecure) }}
        {{- $_ := set $files $key $file }}
    {{- end }}
    {{- $files | toJson }}
{{- end }}
