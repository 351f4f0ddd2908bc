/* SPDX-License-Identifier: Apache-2.0
 *
 * In the place of onnx_writer.c where the build has no writer: meson's option `writer`, off by
 * itself in builds with chosen ops, which run models and seldom write them.
 */
#include "base/error.h"

#define ABSENT "this build of the library writes no ONNX files: rebuild it with -Dwriter=enabled"

fer_status fer_graph_write_onnx(const fer_graph *graph, fer_text_fn write, void *write_self) {
    (void)graph, (void)write, (void)write_self;
    return feri_fail(FER_UNSUPPORTED, ABSENT);
}

fer_status fer_value_to_onnx(fer_context *context,
                             const fer_value *value,
                             const char *name,
                             fer_text_fn write,
                             void *write_self) {
    (void)context, (void)value, (void)name, (void)write, (void)write_self;
    return feri_fail(FER_UNSUPPORTED, ABSENT);
}
