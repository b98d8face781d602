{{- /*
  Helpers of the admission policy, which limits what BinderHub's service account may create. It is written in CEL:
  https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
  toJson quotes strings in a way that CEL reads.
*/}}

{{- /* The objects are cluster-scoped. No two releases share a name, because the name of a namespace has no dot. */}}
{{- define "binderhub-service.admission-policy.name" -}}
    {{- .Release.Namespace }}.{{ .Release.Name }}.binderhub
{{- end }}

{{- /*
  What the values allow build pods to have, as JSON: volumes, and lists of names. A trait in
  config.KubernetesBuildExecutor takes the place of a value.
*/}}
{{- define "binderhub-service.admission-policy.build-pods" -}}
    {{- $traits := .Values.config.KubernetesBuildExecutor | default dict }}
    {{- $old := .Values.config.BinderHub }}
    {{- $values := .Values.buildPods }}
    {{- $initContainers := $traits.init_containers | default $values.initContainers | default list }}
    {{- $images := list ($traits.build_image | default $old.build_image) }}
    {{- $secrets := list (include "binderhub-service.build-pods.push-secret" .) $traits.push_secret $old.push_secret }}
    {{- $env := $traits.extra_env | default $values.extraEnv | default list }}
    {{- range $initContainers }}
        {{- $images = append $images .image }}
        {{- $env = concat $env (.env | default list) }}
        {{- range .envFrom }}
            {{- $secrets = append $secrets (dig "secretRef" "name" "" .) }}
        {{- end }}
    {{- end }}
    {{- range $env }}
        {{- $secrets = append $secrets (dig "valueFrom" "secretKeyRef" "name" "" .) }}
    {{- end }}
    {{- dict
        "volumes" ($traits.extra_volumes | default $values.extraVolumes | default list)
        "images" (compact $images | uniq)
        "secrets" (compact $secrets | uniq)
        "pullSecrets" ($traits.image_pull_secrets | default $values.imagePullSecrets | default list)
        "serviceAccounts" (compact (list "default" ($traits.service_account_name | default $values.serviceAccountName)) | uniq)
        "namespace" ($traits.namespace | default $old.build_namespace | default (include "binderhub-service.build-pods.namespace" .))
        | toJson
    }}
{{- end }}

{{- /* Whether an object has all fields of a value, in CEL. Takes a list: the expression of the object, and the value. */}}
{{- define "binderhub-service.admission-policy.equals" -}}
    {{- $path := first . }}
    {{- $value := last . }}
    {{- $conditions := list }}
    {{- if kindIs "map" $value }}
        {{- range $key, $below := $value }}
            {{- if regexMatch "^[A-Za-z_][A-Za-z0-9_]*$" $key }}
                {{- $conditions = append $conditions (printf "has(%s.%s)" $path $key) }}
                {{- $conditions = append $conditions (include "binderhub-service.admission-policy.equals" (list (printf "%s.%s" $path $key) $below)) }}
            {{- else }}
                {{- $conditions = append $conditions (printf "%s in %s" (toJson $key) $path) }}
                {{- $conditions = append $conditions (include "binderhub-service.admission-policy.equals" (list (printf "%s[%s]" $path (toJson $key)) $below)) }}
            {{- end }}
        {{- end }}
    {{- else if kindIs "slice" $value }}
        {{- $conditions = append $conditions (printf "size(%s) == %d" $path (len $value)) }}
        {{- range $index, $below := $value }}
            {{- $conditions = append $conditions (include "binderhub-service.admission-policy.equals" (list (printf "%s[%d]" $path $index) $below)) }}
        {{- end }}
    {{- else }}
        {{- $conditions = append $conditions (printf "%s == %s" $path (toJson $value)) }}
    {{- end }}
    {{- compact $conditions | join " && " }}
{{- end }}

{{- /* Whether the volume `v` is one of a list of volumes, in CEL. Takes the list. */}}
{{- define "binderhub-service.admission-policy.extra-volume" -}}
    {{- $any := list }}
    {{- range . }}
        {{- $any = append $any (printf "(%s)" (include "binderhub-service.admission-policy.equals" (list "v" .))) }}
    {{- end }}
    {{- $any | join " || " | default "false" }}
{{- end }}
