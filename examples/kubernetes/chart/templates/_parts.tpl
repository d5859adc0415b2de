{{- define "keygress.labels" -}}
app.kubernetes.io/name: keygress
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "keygress.podSecurity" -}}
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
runAsNonRoot: true
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "keygress.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "keygress.spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "keygress.labels" . | nindent 6 }}
{{- end }}

{{- define "keygress.disruptions" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: keygress-{{ .component }}
  labels:
    {{- include "keygress.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "keygress.labels" . | nindent 6 }}
{{- end }}
