{{- /* Authorities that BinderHub trusts beside those of its image, in PEM; nothing where there are none. */}}
{{- define "binderhub-service.authorities" -}}
    {{- $found := list (trim .Values.registry.certificateAuthority) }}
    {{- range $name, $certificates := .Values.certificateAuthorities }}
        {{- $found = append $found (trim ($certificates | default "")) }}
    {{- end }}
    {{- $found | compact | join "\n" }}
{{- end }}

{{- define "binderhub-service.authorities.volumes" -}}
{{- if include "binderhub-service.authorities" . }}
- name: authorities
  emptyDir: {}
{{- end }}
{{- end }}

{{- define "binderhub-service.authorities.volume-mounts" -}}
{{- if include "binderhub-service.authorities" . }}
# Over the image's own, where Debian's OpenSSL, GnuTLS, libcurl and git look without being told.
- name: authorities
  mountPath: /etc/ssl/certs/ca-certificates.crt
  subPath: ca-certificates.crt
  readOnly: true
{{- end }}
{{- end }}

{{- /* Adds them to those that BinderHub's image trusts. */}}
{{- define "binderhub-service.authorities.init-containers" -}}
{{- if include "binderhub-service.authorities" . }}
- name: authorities
  image: {{ include "binderhub-service.image" .Values.image }}
  {{- with .Values.image.pullPolicy }}
  imagePullPolicy: {{ . }}
  {{- end }}
  command:
    - sh
    - -c
    - cat /etc/ssl/certs/ca-certificates.crt /etc/binderhub/mounted-secret/authorities.crt > /authorities/ca-certificates.crt
  volumeMounts:
    - name: secret
      mountPath: /etc/binderhub/mounted-secret/
      readOnly: true
    - name: authorities
      mountPath: /authorities
  resources:
    {{- .Values.resources | toYaml | nindent 4 }}
  securityContext:
    {{- .Values.securityContext | toYaml | nindent 4 }}
{{- end }}
{{- end }}
