{{- /* certificateAuthorities, in PEM; nothing where there are none. */}}
{{- define "binderhub-service.authorities.given" -}}
    {{- $found := list }}
    {{- range $name, $certificates := .Values.certificateAuthorities }}
        {{- $found = append $found (trim ($certificates | default "")) }}
    {{- end }}
    {{- $found | compact | join "\n" }}
{{- end }}

{{- /* Authorities that BinderHub trusts beside those of its image: the registry's too, which it asks itself. */}}
{{- define "binderhub-service.authorities" -}}
    {{- list (trim .Values.registry.certificateAuthority) (include "binderhub-service.authorities.given" .) | compact | join "\n" }}
{{- end }}

{{- /* What build pods trust when they fetch: the name of a ConfigMap; nothing where that is what their image trusts. */}}
{{- define "binderhub-service.authorities.of-build-pods" -}}
    {{- if and (ne .Values.buildPods.executor "upstream") (include "binderhub-service.authorities.given" .) }}
        {{- include "binderhub-service.build-pods-authorities.fullname" . }}
    {{- end }}
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
