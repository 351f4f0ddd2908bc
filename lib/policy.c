/* SPDX-License-Identifier: Apache-2.0
 *
 * What the caller of a compilation allows and fixes: devices in order, pins, shares, passes that
 * are off, dims by name. Everything is copied: the options are the caller's.
 */
#include "base/error.h"
#include "program.h"

#include <string.h>

enum { MAX_DEVICES = 64 };

static fer_status devices_named(fer_program *program, const char *names) {
    feri_policy *policy = &program->build.policy;
    const char *at = names;
    while (*at != 0) {
        size_t length = 0;
        for (int depth = 0; at[length] != 0 && (at[length] != ',' || depth > 0); length++) {
            depth += at[length] == '(' ? 1 : at[length] == ')' ? -1 : 0;
        }
        if (policy->device_count == MAX_DEVICES) {
            return feri_fail(
                FER_INVALID_ARGUMENT, "more than %d devices in '%s'", MAX_DEVICES, names);
        }
        char *name = feri_bump_strndup(&program->bump, at, length);
        if (name == NULL) {
            return feri_error_status();
        }
        fer_device *device = NULL;
        FER_TRY(fer_device_find(program->build.context, name, &device));
        fer_device_release(device); /* the program holds the context, and with it the device */
        policy->devices[policy->device_count++] = device;
        at += length + (at[length] == ',');
    }
    return FER_OK;
}

static fer_status devices_default(fer_program *program) {
    fer_context *context = program->build.context;
    feri_policy *policy = &program->build.policy;
    FER_TRY(feri_devices_ready(context));
    pthread_mutex_lock(&context->lock); /* a wrapper may be made meanwhile */
    for (uint32_t i = 0; i < context->device_count && policy->device_count < MAX_DEVICES; i++) {
        if ((context->devices[i]->info.flags & FER_DEVICE_NEVER_DEFAULT) == 0) {
            policy->devices[policy->device_count++] = context->devices[i];
        }
    }
    pthread_mutex_unlock(&context->lock);
    return FER_OK;
}

/* The caller's rows with their names copied. The names are the texts first in a row; NULL when
 * memory is short or a name is NULL, with the error set. */
static void *rows_copy(
    feri_bump *bump, const void *rows, uint32_t count, size_t row_bytes, uint32_t names_a_row) {
    char *copy = feri_bump_array(bump, count, row_bytes);
    if (copy != NULL && count > 0) {
        memcpy(copy, rows, count * row_bytes);
    }
    for (uint32_t i = 0; copy != NULL && i < count * names_a_row; i++) {
        char *at = copy + i / names_a_row * row_bytes + i % names_a_row * sizeof(char *);
        const char *name = NULL;
        memcpy(&name, at, sizeof(name));
        if (name == NULL) {
            (void)feri_fail(FER_INVALID_ARGUMENT, "a name in the compile options is NULL");
            return NULL;
        }
        name = feri_bump_strndup(bump, name, strlen(name));
        memcpy(at, &name, sizeof(name));
        copy = name == NULL ? NULL : copy;
    }
    return copy;
}

fer_status feri_policy_fill(fer_program *program, const fer_compile_options *options) {
    feri_bump *bump = &program->bump;
    feri_build *build = &program->build;
    feri_policy *policy = &build->policy;
    policy->pin_count = options->pin_count;
    policy->share_count = options->share_count;
    build->passes.off_count = options->passes_off_count;
    build->dim_value_count = options->dim_count;
    policy->fallback =
        options->fallback == FER_FALLBACK_DEFAULT ? FER_FALLBACK_WARN : options->fallback;
    if ((policy->devices = FERI_BUMP_ARRAY(bump, fer_device *, MAX_DEVICES)) == NULL ||
        (policy->pins = rows_copy(bump, options->pins, options->pin_count, sizeof(fer_pin), 2)) ==
            NULL ||
        (policy->shares = rows_copy(
             bump, options->shares, options->share_count, sizeof(fer_share), 1)) == NULL ||
        (build->dim_values = rows_copy(
             bump, options->dims, options->dim_count, sizeof(fer_dim_value), 1)) == NULL ||
        (build->passes.off = rows_copy(
             bump, options->passes_off, options->passes_off_count, sizeof(char *), 1)) == NULL) {
        return feri_error_status();
    }
    FER_TRY(options->devices != NULL ? devices_named(program, options->devices)
                                     : devices_default(program));
    if (policy->device_count == 0) {
        return feri_fail(
            FER_NO_DEVICE,
            "no device is allowed: name one, or register a backend that may be a default");
    }
    return FER_OK;
}

fer_status feri_dims_fix(fer_program *program, fer_graph *graph) {
    for (uint32_t d = 0; d < program->build.dim_value_count; d++) {
        const fer_dim_value *fixed = &program->build.dim_values[d];
        uint32_t uses = 0;
        for (uint32_t i = 0; i < graph->input_count; i++) {
            feri_fact *fact = &graph->values[graph->inputs[i]].fact;
            for (int32_t k = 0; k < fact->rank; k++) {
                uint32_t symbol = feri_terms_symbol_index(graph->terms, fact->dims[k]);
                if (symbol != UINT32_MAX &&
                    strcmp(feri_terms_symbol_name(graph->terms, symbol), fixed->name) == 0) {
                    fact->dims[k] = feri_sym_number(fixed->value);
                    uses++;
                }
            }
        }
        if (uses == 0 || fixed->value < 0) {
            return feri_fail(
                FER_INVALID_ARGUMENT,
                "dim '%s' = %lld: no input has a dim of that name, or the number is negative",
                fixed->name,
                (long long)fixed->value);
        }
    }
    return FER_OK;
}
