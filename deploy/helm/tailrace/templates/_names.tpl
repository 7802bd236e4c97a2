{{- define "tailrace.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "tailrace.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tailrace.labels" -}}
{{ include "tailrace.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Whether the log is somewhere else, so that workers keep nothing and may be many. */}}
{{- define "tailrace.shared" -}}
{{- if eq .Values.config.log.type "kafka" -}}true{{- end -}}
{{- end -}}

{{/* The configuration as the worker reads it: its state always lies where the probe looks for it. */}}
{{- define "tailrace.config" -}}
{{- if gt (int .Values.replicas) 1 -}}
{{- if not (include "tailrace.shared" .) -}}
{{- fail "replicas: only one worker can run on a bundled log; several ask for config.log.type: kafka" -}}
{{- end -}}
{{- if not (dig "worker" "group" "" .Values.config) -}}
{{- fail "replicas: several workers ask for config.worker.group, the name under which they share out the tasks" -}}
{{- end -}}
{{- end -}}
{{- $base := dict "worker" (dict "path" "/var/lib/tailrace") -}}
{{- if not (include "tailrace.shared" .) -}}
{{- $base = merge $base (dict "log" (dict "path" "/var/lib/tailrace")) -}}
{{- end -}}
{{- mergeOverwrite $base (deepCopy .Values.config) | toYaml -}}
{{- end -}}
