/* SPDX-License-Identifier: Apache-2.0
 *
 * The context of every target: one thread, little memory, no modules.
 */
#ifndef FERRULE_FUZZ_CONTEXT_H
#define FERRULE_FUZZ_CONTEXT_H

#include "ferrule/ferrule.h"

#include <stdlib.h>

static inline fer_context *fuzz_context(void) {
    fer_limits limits = {.struct_size = sizeof limits,
                         .max_nodes = 20000,
                         .max_values = 80000,
                         .max_tensor_bytes = 8u << 20,
                         .max_loop_trips = 1000};
    fer_budget budget = {.struct_size = sizeof budget, .device = "host", .bytes = 64u << 20};
    fer_context_options options = {.struct_size = sizeof options,
                                   .flags = FER_CONTEXT_NO_MANIFESTS,
                                   .limits = &limits,
                                   .budgets = &budget,
                                   .budget_count = 1,
                                   .thread_count = 1};
    fer_context *context = NULL;
    if (fer_context_create(&options, &context) != FER_OK) {
        abort();
    }
    return context;
}

#endif
