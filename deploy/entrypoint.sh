#!/bin/sh
# Make /workspace a clone on the first start, then run the command in it. An existing workspace is never overwritten, so
# a new image does not update it: use `git pull` if it is a Git clone.
set -eu
if [ ! -e params.yaml ] && [ -w . ]; then
    if [ -n "${SEQLOOM_GIT_URL:-}" ]; then
        git clone --quiet "$SEQLOOM_GIT_URL" .
    else
        cp -R /opt/seqloom/. .
    fi
fi
if [ -d .dvc ] && [ -w .dvc ]; then
    [ -d .git ] || dvc config --quiet --local core.no_scm true
    # s3://bucket/dvc, for example; the key comes from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and is not written.
    [ -z "${SEQLOOM_DVC_REMOTE:-}" ] || dvc remote add --quiet --local --force --default storage "$SEQLOOM_DVC_REMOTE"
fi
exec "$@"
