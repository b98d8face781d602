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
  What the values allow build pods to have, as JSON: volumes, mounts, secretKeyRefs, and lists of names. A trait in
  config.KubernetesBuildExecutor takes the place of a value.
*/}}
{{- define "binderhub-service.admission-policy.build-pods" -}}
    {{- $traits := .Values.config.KubernetesBuildExecutor | default dict }}
    {{- $old := .Values.config.BinderHub }}
    {{- $values := .Values.buildPods }}
    {{- $images := list ($traits.build_image | default $old.build_image) }}
    {{- $env := $traits.extra_env | default $values.extraEnv | default list }}
    {{- $mounts := $traits.extra_volume_mounts | default $values.extraVolumeMounts | default list }}
    {{- $secretsOfEnv := list }}
    {{- range $traits.init_containers | default $values.initContainers }}
        {{- $images = append $images .image }}
        {{- $env = concat $env (.env | default list) }}
        {{- $mounts = concat $mounts (.volumeMounts | default list) }}
        {{- range .envFrom }}
            {{- $secretsOfEnv = append $secretsOfEnv (dig "secretRef" "name" "" .) }}
        {{- end }}
    {{- end }}
    {{- $secretKeys := list }}
    {{- range $env }}
        {{- $secretKeys = append $secretKeys (dig "valueFrom" "secretKeyRef" dict .) }}
    {{- end }}
    {{- $volumes := list }}
    {{- $volumeNames := list }}
    {{- range $traits.extra_volumes | default $values.extraVolumes }}
        {{- $volumeNames = append $volumeNames .name }}
        {{- /* Without a source it is an emptyDir; its name alone would match every source. */}}
        {{- if gt (len .) 1 }}
            {{- $volumes = append $volumes . }}
        {{- end }}
    {{- end }}
    {{- dict
        "volumes" $volumes
        "initContainers" ($traits.init_containers | default $values.initContainers | default list)
        "volumeNames" $volumeNames
        "mounts" $mounts
        "images" (compact $images | uniq)
        "pushSecrets" (list (include "binderhub-service.build-pods.push-secret" .) $traits.push_secret $old.push_secret | compact | uniq)
        "secretKeys" (compact $secretKeys)
        "secretsOfEnv" (compact $secretsOfEnv | uniq)
        "pullSecrets" ($traits.image_pull_secrets | default $values.imagePullSecrets | default list)
        "serviceAccounts" (compact (list "default" ($traits.service_account_name | default $values.serviceAccountName)) | uniq)
        "priorityClass" ($traits.priority_class_name | default $values.priorityClassName | default "")
        "namespace" ($traits.namespace | default $old.build_namespace | default (include "binderhub-service.build-pods.namespace" .))
        | toJson
    }}
{{- end }}

{{- /*
  Whether an object has all fields of a value, in CEL. Takes a list: the expression of the object, and the value. The API
  server omits fields that are false, zero or empty. An object may have more fields than the value, except those that
  let a volume read a Secret, another claim, or another source.
*/}}
{{- define "binderhub-service.admission-policy.matches" -}}
    {{- $path := first . }}
    {{- $value := last . }}
    {{- $conditions := list }}
    {{- $closed := dict
        "csi" (list "nodePublishSecretRef" "volumeAttributes")
        "flexVolume" (list "options" "secretRef")
        "iscsi" (list "secretRef")
        "spec" (list "dataSource" "dataSourceRef")
    }}
    {{- if kindIs "map" $value }}
        {{- range $key, $below := $value }}
            {{- $has := printf "%s in %s" (toJson $key) $path }}
            {{- $place := printf "%s[%s]" $path (toJson $key) }}
            {{- if regexMatch "^[A-Za-z_][A-Za-z0-9_]*$" $key }}
                {{- $place = printf "%s.%s" $path $key }}
                {{- $has = printf "has(%s)" $place }}
            {{- end }}
            {{- $same := include "binderhub-service.admission-policy.matches" (list $place $below) }}
            {{- if has $below (list false 0.0 "" list) }}
                {{- $conditions = append $conditions (printf "(!%s || %s)" $has $same) }}
            {{- else }}
                {{- $conditions = concat $conditions (list $has $same) }}
            {{- end }}
            {{- if has $key (list "volumeAttributes" "options") }}
                {{- $conditions = append $conditions (printf "size(%s) == %d" $place (len $below)) }}
            {{- end }}
            {{- range dig $key list $closed }}
                {{- if not (hasKey $below .) }}
                    {{- $conditions = append $conditions (printf "!has(%s.%s)" $place .) }}
                {{- end }}
            {{- end }}
        {{- end }}
    {{- else if kindIs "slice" $value }}
        {{- $conditions = append $conditions (printf "size(%s) == %d" $path (len $value)) }}
        {{- range $index, $below := $value }}
            {{- $conditions = append $conditions (include "binderhub-service.admission-policy.matches" (list (printf "%s[%d]" $path $index) $below)) }}
        {{- end }}
    {{- else if hasSuffix ".storage" $path }}
        {{- /* The API server writes 1024Mi as 1Gi. */}}
        {{- $conditions = append $conditions (printf "quantity(string(%s)).compareTo(quantity(%s)) == 0" $path (toString $value | toJson)) }}
    {{- else }}
        {{- $conditions = append $conditions (printf "%s == %s" $path (toJson $value)) }}
    {{- end }}
    {{- compact $conditions | join " && " }}
{{- end }}

{{- /*
  Whether a container `c` is one of buildPods.initContainers, in CEL. Takes their list. What a value does not have of
  the fields that decide what the container runs and reads, the container may not have either. Resources are left out,
  because the API server writes 1000m as 1.
*/}}
{{- define "binderhub-service.admission-policy.is-init-container" -}}
    {{- $any := list }}
    {{- range $value := . }}
        {{- $conditions := list (include "binderhub-service.admission-policy.matches" (list "c" (omit $value "resources"))) }}
        {{- range list "command" "args" "env" "envFrom" "volumeMounts" "volumeDevices" }}
            {{- if not (index $value .) }}
                {{- $conditions = append $conditions (printf "size(c.?%s.orValue([])) == 0" .) }}
            {{- end }}
        {{- end }}
        {{- $any = append $any (printf "(%s)" (compact $conditions | join " && ")) }}
    {{- end }}
    {{- $any | join " || " | default "false" }}
{{- end }}

{{- /* Whether an object matches any of several values, in CEL. Takes a list: the expression of the object, and the values. */}}
{{- define "binderhub-service.admission-policy.matches-any" -}}
    {{- $any := list }}
    {{- range last . }}
        {{- $any = append $any (printf "(%s)" (include "binderhub-service.admission-policy.matches" (list (first $) .))) }}
    {{- end }}
    {{- $any | join " || " | default "false" }}
{{- end }}
