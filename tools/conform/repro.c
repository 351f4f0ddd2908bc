/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes a case out as a test in ONNX's layout, so that another runtime can be asked.
 */
#include "command.h"
#include "conform.h"

int repro_write(runner *self, const char *name, const char *folder) {
    (void)self;
    (void)folder;
    return complain(
        EXIT_UNSUPPORTED, "UNSUPPORTED", "--repro '%s': the ONNX writer is not there yet", name);
}
