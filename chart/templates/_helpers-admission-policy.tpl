{{- /*
  What BinderHub's service account may make, in CEL: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
  Texts come into it with toJson, which writes what CEL reads.
*/}}

{{- define "binderhub-service.admission-policy.guards" -}}
    {{- if .Values.admissionPolicy.enabled }}
        {{- if semverCompare "<1.30.0-0" .Capabilities.KubeVersion.Version }}
            {{- printf "admissionPolicy.enabled is true, but ValidatingAdmissionPolicy came with Kubernetes 1.30, and this is %s. Set admissionPolicy.enabled to false, or upgrade Kubernetes." .Capabilities.KubeVersion.Version | fail }}
        {{- end }}
        {{- if eq .Values.buildPods.executor "upstream" }}
            {{- fail "admissionPolicy.enabled is true, but the build pods of buildPods.executor: upstream have no label that says whose they are. Set buildPods.executor to service, or admissionPolicy.enabled to false." }}
        {{- end }}
        {{- range (.Values.config.KubernetesBuildExecutor | default dict).init_containers | default .Values.buildPods.initContainers }}
            {{- if ne (.securityContext | default dict).allowPrivilegeEscalation false }}
                {{- printf "admissionPolicy.enabled is true, and refuses build pods whose init container %s may gain privileges. Set securityContext.allowPrivilegeEscalation to false there, in buildPods.initContainers, or admissionPolicy.enabled to false." .name | fail }}
            {{- end }}
        {{- end }}
    {{- end }}
{{- end }}

{{- /* Names of these objects, which are the cluster's: no namespace has a dot in its name, so no two releases share one. */}}
{{- define "binderhub-service.admission-policy.name" -}}
    {{- .Release.Namespace }}.{{ .Release.Name }}.binderhub
{{- end }}

{{- /*
  What the values say of build pods, as JSON: volumes, mounts and secretKeyRefs as they are, and names. Each can be a
  trait in config.KubernetesBuildExecutor instead.
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
    {{- $volumes := $traits.extra_volumes | default $values.extraVolumes | default list }}
    {{- $volumeNames := list }}
    {{- range $volumes }}
        {{- $volumeNames = append $volumeNames .name }}
    {{- end }}
    {{- dict
        "volumes" $volumes
        "volumeNames" $volumeNames
        "mounts" $mounts
        "images" (compact $images | uniq)
        "pushSecrets" (list (include "binderhub-service.registry.push-secret" .) $traits.push_secret $old.push_secret | compact | uniq)
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
  That an object has what a value says, in CEL. Takes a list: the object's expression, and the value. The API server
  leaves fields out that are false, zero or empty.
*/}}
{{- define "binderhub-service.admission-policy.matches" -}}
    {{- $path := first . }}
    {{- $value := last . }}
    {{- $conditions := list }}
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
                {{- /* Of a driver's settings none is to be added. */}}
                {{- $conditions = append $conditions (printf "size(%s) == %d" $place (len $below)) }}
            {{- end }}
        {{- end }}
    {{- else if kindIs "slice" $value }}
        {{- $conditions = append $conditions (printf "size(%s) == %d" $path (len $value)) }}
        {{- range $index, $below := $value }}
            {{- $conditions = append $conditions (include "binderhub-service.admission-policy.matches" (list (printf "%s[%d]" $path $index) $below)) }}
        {{- end }}
    {{- else }}
        {{- $conditions = append $conditions (printf "%s == %s" $path (toJson $value)) }}
    {{- end }}
    {{- compact $conditions | join " && " }}
{{- end }}

{{- /* Whether an object matches one of several values, in CEL. Takes a list: the object's expression, and the values. */}}
{{- define "binderhub-service.admission-policy.any" -}}
    {{- $any := list }}
    {{- range last . }}
        {{- $any = append $any (printf "(%s)" (include "binderhub-service.admission-policy.matches" (list (first $) .))) }}
    {{- end }}
    {{- $any | join " || " | default "false" }}
{{- end }}

{{- /*
  Whether a volume is one of those that the values name, in CEL; takes these. It has no second source, and its source
  none of the fields with which a driver reads a Secret or something else than the values say.
*/}}
{{- define "binderhub-service.admission-policy.extra-volume" -}}
    {{- $of := dict "csi" (list "nodePublishSecretRef" "volumeAttributes") "flexVolume" (list "options" "secretRef") "iscsi" (list "secretRef") }}
    {{- $any := list }}
    {{- range $volume := . }}
        {{- range $kind, $source := omit $volume "name" }}
            {{- $conditions := list (include "binderhub-service.admission-policy.matches" (list "v" $volume)) }}
            {{- range dig $kind list $of }}
                {{- if not (hasKey $source .) }}
                    {{- $conditions = append $conditions (printf "!has(v.%s.%s)" $kind .) }}
                {{- end }}
            {{- end }}
            {{- $any = append $any (printf "(%s)" (join " && " $conditions)) }}
        {{- end }}
    {{- end }}
    {{- $any | join " || " | default "false" }}
{{- end }}
