#!/bin/sh
# What stands in a pipeline: it reads its environment, and knows nothing of keygress.
#
#   job.sh REGISTRY
ask() {
    printf '  %s ' "$1"
    shift
    curl --silent --max-time 60 --header "Authorization: Bearer $REGISTRY_TOKEN" "$@" | sed 's/.*"code": *"\([a-z_]*\)".*/refused by keygress: \1/'
    echo
}
ask "downloads:" "$1/npm/left-pad"
ask "publishes:" --request PUT --data widgets "$1/npm/acme-widgets"
ask "publishes something else:" --request PUT --data widgets "$1/npm/left-pad"
