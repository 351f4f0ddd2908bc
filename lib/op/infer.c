/* SPDX-License-Identifier: Apache-2.0
 *
 * What the inference functions share; see infer.h.
 */
#include "op/infer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

fer_status feri_infer_fail(const feri_infer *call, const char *format, ...) {
    char message[640];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    fer_status status = feri_fail(
        FER_INVALID_MODEL, "%s '%s': %s", call->op->name, call->node ? call->node : "", message);
    feri_error_set_node(call->node);
    return status;
}
