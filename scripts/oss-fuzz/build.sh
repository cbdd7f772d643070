#!/bin/bash -eu
# Copyright 2026 Google LLC
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

# Builds every fuzz target into $OUT, with its seeds, dictionary and options. For OSS-Fuzz, ClusterFuzzLite, and
# scripts/oss-fuzz/check. The builder's environment says how: $SANITIZER, $RUSTFLAGS, $CUSTOM_LIBFUZZER_PATH.
cd "$SRC/lockstorm"

# Coverage builds bring their instrumentation in $RUSTFLAGS.
sanitizer=$SANITIZER
if [ "$sanitizer" = coverage ]; then
    sanitizer=none
fi
cargo fuzz build -O --debug-assertions --sanitizer "$sanitizer"

built=${CARGO_TARGET_DIR:-fuzz/target}/x86_64-unknown-linux-gnu/release
for source in fuzz/fuzz_targets/*.rs; do
    target=$(basename "$source" .rs)
    cp "$built/$target" "$OUT/"

    # What the puppet plays has one folder of seeds, whoever judges it.
    folder=$target
    if [ "$target" = locks ]; then
        folder=puppet
    fi
    seeds=$(mktemp -d)
    for seed in "corpus/$folder"/* "corpus/merged/$target"/*; do
        [ -f "$seed" ] || continue
        cp "$seed" "$seeds/$(sha1sum "$seed" | cut -d' ' -f1)"
    done
    (cd "$seeds" && find . -type f | sort | zip -q -X -@ "$OUT/${target}_seed_corpus.zip")
    rm -rf "$seeds"

    if [ -f "corpus/$target.dict" ]; then
        cp "corpus/$target.dict" "$OUT/"
    fi
    cp fuzz/target.options "$OUT/$target.options"
done
