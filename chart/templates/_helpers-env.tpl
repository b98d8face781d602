{{- /*
  Environment variables as Kubernetes has them, of a list that is in that form already, or of a mapping from names to
  values or to {valueFrom: …}. Helm merges mappings of several values files, and replaces lists; null takes a name away.
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
        {{- . | toYaml }}
    {{- end }}
{{- end }}

{{- /* extraEnv of BinderHub's container, with its templates rendered; nothing where it is empty. */}}
{{- define "binderhub-service.extra-env" -}}
    {{- with include "binderhub-service.env" .Values.extraEnv }}
        {{- tpl . $ }}
    {{- end }}
{{- end }}
