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
            return fer_error_last()->status;
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

static fer_status copy_text(feri_bump *bump, const char *text, const char **out_text) {
    if (text == NULL) {
        return feri_fail(FER_INVALID_ARGUMENT, "a name in the compile options is NULL");
    }
    *out_text = feri_bump_strndup(bump, text, strlen(text));
    return *out_text == NULL ? fer_error_last()->status : FER_OK;
}

fer_status feri_policy_fill(fer_program *program, const fer_compile_options *options) {
    feri_bump *bump = &program->bump;
    feri_build *build = &program->build;
    fer_pin *pins = FERI_BUMP_ARRAY(bump, fer_pin, options->pin_count);
    fer_share *shares = FERI_BUMP_ARRAY(bump, fer_share, options->share_count);
    fer_dim_value *dims = FERI_BUMP_ARRAY(bump, fer_dim_value, options->dim_count);
    const char **off = FERI_BUMP_ARRAY(bump, const char *, options->passes_off_count);
    build->policy.devices = FERI_BUMP_ARRAY(bump, fer_device *, MAX_DEVICES);
    if (pins == NULL || shares == NULL || dims == NULL || off == NULL ||
        build->policy.devices == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t i = 0; i < options->pin_count; i++) {
        FER_TRY(copy_text(bump, options->pins[i].node, &pins[i].node));
        FER_TRY(copy_text(bump, options->pins[i].device, &pins[i].device));
    }
    for (uint32_t i = 0; i < options->share_count; i++) {
        shares[i] = options->shares[i];
        FER_TRY(copy_text(bump, options->shares[i].device, &shares[i].device));
    }
    for (uint32_t i = 0; i < options->dim_count; i++) {
        dims[i] = options->dims[i];
        FER_TRY(copy_text(bump, options->dims[i].name, &dims[i].name));
    }
    for (uint32_t i = 0; i < options->passes_off_count; i++) {
        FER_TRY(copy_text(bump, options->passes_off[i], &off[i]));
    }
    build->policy.pins = pins;
    build->policy.pin_count = options->pin_count;
    build->policy.shares = shares;
    build->policy.share_count = options->share_count;
    build->policy.fallback =
        options->fallback == FER_FALLBACK_DEFAULT ? FER_FALLBACK_WARN : options->fallback;
    build->passes.off = off;
    build->passes.off_count = options->passes_off_count;
    build->dim_values = dims;
    build->dim_value_count = options->dim_count;
    FER_TRY(options->devices != NULL ? devices_named(program, options->devices)
                                     : devices_default(program));
    if (build->policy.device_count == 0) {
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
