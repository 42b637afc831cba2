{{/* The configuration of the daemon. Secrets are files: none of them comes near a ConfigMap. */}}

{{- define "sluice.group" -}}
{{- default (include "sluice.fullname" .) .Values.kafka.group -}}
{{- end -}}

{{- define "sluice.source" -}}
{{- $kafka := .Values.kafka -}}
{{- if not $kafka.bootstrap }}{{ fail "kafka.bootstrap: is empty; list HOST:PORT of some brokers" }}{{ end -}}
{{- if not $kafka.topics }}{{ fail "kafka.topics: is empty; list the topics of utterances" }}{{ end -}}
{{- $options := dict
  "bootstrap" $kafka.bootstrap
  "topics" $kafka.topics
  "label_topics" $kafka.labelTopics
  "erasure_topics" $kafka.erasureTopics
  "group" (include "sluice.group" .)
  "allow_create_time" $kafka.allowCreateTime
  "security" (include "sluice.kafkaSecurity" . | fromJson)
  "client" $kafka.client -}}
{{- if $kafka.staticMembership }}{{ $_ := set $options "instance" "env:POD_NAME" }}{{ end -}}
{{- toJson (dict "kind" "kafka" "options" $options) -}}
{{- end -}}

{{- define "sluice.kafkaSecurity" -}}
{{- $given := .Values.kafka.security -}}
{{- $options := dict "protocol" $given.protocol "check_hostname" $given.checkHostname -}}
{{- range $name := list "mechanism" "username" -}}
{{- with index $given $name }}{{ $_ := set $options $name . }}{{ end -}}
{{- end -}}
{{- range $value, $name := dict "passwordKey" "password_file" "caKey" "ca_file" "certificateKey" "certificate_file" "privateKeyKey" "key_file" "privateKeyPasswordKey" "key_password_file" -}}
{{- with index $given $value -}}
{{- if not $given.existingSecret }}{{ fail (printf "kafka.security.existingSecret: is empty; name the secret that has the key of kafka.security.%s" $value) }}{{ end -}}
{{- $_ := set $options $name (printf "/secrets/kafka/%s" .) -}}
{{- end -}}
{{- end -}}
{{- toJson $options -}}
{{- end -}}

{{/* A section that tells a topic of something: the section, with that topic as its outlet. */}}
{{- define "sluice.telling" -}}
{{- $section := deepCopy .section -}}
{{- if .topic -}}
{{- $security := include "sluice.kafkaSecurity" .root | fromJson -}}
{{- $options := dict "bootstrap" .root.Values.kafka.bootstrap "topic" .topic "security" $security -}}
{{- $_ := set $section "outlet" (dict "kind" "kafka" "options" $options) -}}
{{- end -}}
{{- toJson $section -}}
{{- end -}}

{{- define "sluice.store" -}}
{{- if eq .Values.store.kind "local" -}}
{{- toJson (dict "kind" "local" "options" (dict "path" "/var/lib/sluice/store")) -}}
{{- else -}}
{{- $bucket := .Values.store.bucket -}}
{{- if not $bucket.url }}{{ fail "store.bucket.url: is empty; write s3://BUCKET/PREFIX, or set store.kind to local" }}{{ end -}}
{{- $options := dict "url" $bucket.url "path_style" $bucket.pathStyle "allow_http" $bucket.allowHttp -}}
{{- range $key := list "endpoint" "region" -}}
{{- with index $bucket $key }}{{ $_ := set $options $key . }}{{ end -}}
{{- end -}}
{{- if $bucket.existingSecret -}}
{{- if not $bucket.credentials }}{{ fail "store.bucket.credentials: is empty; say which key of the secret is which, such as {access_key_id: id, secret_access_key: secret}" }}{{ end -}}
{{- $references := dict -}}
{{- range $name, $key := $bucket.credentials -}}
{{- $_ := set $references $name (printf "file:/secrets/bucket/%s" $key) -}}
{{- end -}}
{{- $_ := set $options "credentials" $references -}}
{{- end -}}
{{- toJson (dict "kind" "bucket" "options" $options) -}}
{{- end -}}
{{- end -}}

{{- define "sluice.config" -}}
{{- $config := dict
  "store" (include "sluice.store" . | fromJson)
  "source" (include "sluice.source" . | fromJson)
  "stream" .Values.stream
  "keys" (dict "file" (printf "/secrets/key/%s" .Values.keys.key))
  "process" .Values.process
  "http" (dict "port" 9464 "bind" .Values.http.bind "live_seconds" (int .Values.http.live_seconds))
  "dead_letters" (include "sluice.telling" (dict "root" . "section" .Values.deadLetters "topic" .Values.kafka.deadLetterTopic) | fromJson)
  "announcements" (include "sluice.telling" (dict "root" . "section" .Values.announcements "topic" .Values.kafka.announcementTopic) | fromJson)
  "policy" .Values.policy -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Volumes of every pod that runs sluice. */}}
{{- define "sluice.volumes" -}}
{{- if not .Values.keys.existingSecret }}{{ fail "keys.existingSecret: is empty; make one: kubectl create secret generic sluice-key --from-literal=key=$(openssl rand -hex 32)" }}{{ end -}}
- name: tmp
  emptyDir:
    sizeLimit: {{ .Values.tmpSize }}
- name: config
  configMap:
    name: {{ include "sluice.fullname" . }}
- name: key
  secret:
    secretName: {{ .Values.keys.existingSecret }}
    defaultMode: 0440
{{- with .Values.kafka.security.existingSecret }}
- name: kafka
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- if eq .Values.store.kind "local" }}
- name: store
  persistentVolumeClaim:
    claimName: {{ default (include "sluice.fullname" .) .Values.store.local.existingClaim }}
{{- else if .Values.store.bucket.existingSecret }}
- name: bucket
  secret:
    secretName: {{ .Values.store.bucket.existingSecret }}
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "sluice.mounts" -}}
- name: tmp
  mountPath: /tmp
- name: config
  mountPath: /etc/sluice
  readOnly: true
- name: key
  mountPath: /secrets/key
  readOnly: true
{{- if .Values.kafka.security.existingSecret }}
- name: kafka
  mountPath: /secrets/kafka
  readOnly: true
{{- end }}
{{- if eq .Values.store.kind "local" }}
- name: store
  mountPath: /var/lib/sluice
{{- else if .Values.store.bucket.existingSecret }}
- name: bucket
  mountPath: /secrets/bucket
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}
