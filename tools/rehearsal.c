/* SPDX-License-Identifier: Apache-2.0
 *
 * What only a run's shapes decide is shown after one run: here it happens, when inputs are given
 * or nothing could be specialised before. For the verbs that show a program (explain, inspect).
 */
#include "command.h"

#include <stdlib.h>

static int run_once(session *self, fer_run_record *record) {
    feeds given;
    int result = feeds_make(self, &given);
    uint32_t count = fer_program_output_count(self->program);
    fer_value **outputs = calloc(count + 1, sizeof *outputs);
    if (result == EXIT_RIGHT && outputs == NULL) {
        result = complain(EXIT_LIMIT, "OUT_OF_MEMORY", "no memory for %u outputs", count);
    }
    if (result == EXIT_RIGHT) {
        fer_run_options options;
        session_run_options(self, &options, record);
        fer_status status = fer_program_run_values(
            self->program, &options, given.values, given.count, outputs, count);
        result = status == FER_OK ? EXIT_RIGHT : fail_with(self->args, status);
    }
    for (uint32_t i = 0; i < count && outputs != NULL; i++) {
        fer_value_release(outputs[i]);
    }
    free((void *)outputs);
    feeds_finish(&given);
    return result;
}

int session_rehearse(session *self, fer_run_record *record) {
    const arguments *args = self->args;
    fer_program_stats stats = {.struct_size = sizeof stats};
    fer_status status = fer_program_get_stats(self->program, &stats);
    if (status != FER_OK) {
        return fail_with(args, status);
    }
    return stats.specialization_count == 0 || args->data != NULL || args->fill != NULL ||
                   args->inputs.count > 0
               ? run_once(self, record)
               : EXIT_RIGHT;
}
