/* SPDX-License-Identifier: Apache-2.0
 *
 * Backend objects, devices, what can be observed of them, what they share with others, and the
 * module's entries.
 */
#include "kit/sized.h"
#include "sim_chip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- backend ---- */

static fer_status create(void *self, const fer_create_args *args, void **out_backend) {
    if (feri_kit_create_is_short(args)) {
        return FER_INVALID_ARGUMENT;
    }
    sim_backend *backend = sim_take(args->host, sizeof(*backend));
    if (backend == NULL) {
        return FER_OUT_OF_MEMORY;
    }
    *backend = (sim_backend){args->host, self != NULL};
    const char *lost = strstr(args->options, "lost_at_call=");
    if (lost != NULL) { /* as a module there is no test that could call sim_inject */
        long call = strtol(lost + strlen("lost_at_call="), NULL, 10);
        sim_faults faults = {.lost_at_call = call > 0 ? (uint32_t)call : 0};
        for (uint32_t i = 0; i < SIM_CHIPS; i++) {
            sim_inject(i, &faults);
        }
    }
    sim_count_live(1);
    *out_backend = backend;
    return FER_OK;
}

static void destroy(void *object) {
    sim_backend *backend = object;
    sim_give(backend->host, backend, sizeof(*backend));
    sim_count_live(-1);
}

static fer_status device_count(void *backend, uint32_t *out_count) {
    (void)backend;
    *out_count = SIM_CHIPS;
    return FER_OK;
}

static fer_status no_chip(const fer_host *host) {
    return host->fail(host->self, FER_NO_DEVICE, 5, NULL, "there are three simulated chips");
}

static fer_status device_info(void *object, uint32_t index, fer_backend_device_info *out_info) {
    const fer_host *host = ((sim_backend *)object)->host;
    if (FERI_KIT_IS_SHORT(out_info)) {
        return feri_kit_short(host);
    }
    if (index >= SIM_CHIPS) {
        return no_chip(host);
    }
    sim_lock();
    const sim_config *config = &sim_chip_at(index)->config;
    out_info->memory_bytes = config->memory_bytes == 0 ? 64 << 20 : config->memory_bytes;
    out_info->buffer_alignment = config->buffer_alignment == 0 ? 256 : config->buffer_alignment;
    sim_unlock();
    out_info->type = FER_DEVICE_ACCELERATOR;
    out_info->flags = FER_DEVICE_NEVER_DEFAULT;
    out_info->preference = 150;
    out_info->const_alignment = 64;
    (void)snprintf(out_info->chip, sizeof(out_info->chip), "simulated chip %u", index);
    (void)snprintf(out_info->chip_id, sizeof(out_info->chip_id), "sim-%04u", index);
    (void)snprintf(out_info->note, sizeof(out_info->note), "f32");
    return FER_OK;
}

static fer_status device_open(void *object, uint32_t index, void **out_device) {
    sim_backend *backend = object;
    const fer_host *host = backend->host;
    if (index >= SIM_CHIPS) {
        return no_chip(host);
    }
    sim_chip *chip = sim_chip_at(index);
    if (sim_fault_hits(chip, &chip->faults.open_fails_at)) {
        return host->fail(
            host->self, FER_DEVICE_LOST, 5, NULL, "the simulated chip does not come up");
    }
    sim_device *device = sim_take(host, sizeof(*device));
    if (device == NULL) {
        return FER_OUT_OF_MEMORY;
    }
    device->backend = backend;
    device->host = host;
    device->chip = chip;
    atomic_init(&device->is_lost, 0);
    sim_device_enlist(device);
    sim_lock();
    chip->stats.opens++;
    sim_unlock();
    sim_count_live(1);
    *out_device = device;
    return FER_OK;
}

static void device_close(void *object) {
    sim_device *device = object;
    sim_device_delist(device);
    sim_give(device->host, device, sizeof(*device));
    sim_count_live(-1);
}

/* ---- observe ---- */

static fer_status counters(void *object, fer_device_counters *out_counters) {
    sim_device *device = object;
    fer_status status =
        FERI_KIT_IS_SHORT(out_counters) ? feri_kit_short(device->host) : sim_enter(device);
    if (status != FER_OK) {
        return status;
    }
    sim_lock();
    const sim_chip *chip = device->chip;
    out_counters->memory_used_bytes = chip->stats.live_bytes;
    out_counters->memory_total_bytes =
        chip->config.memory_bytes == 0 ? 64 << 20 : chip->config.memory_bytes;
    out_counters->busy_ns = chip->busy_ns;
    out_counters->has_energy = 1;
    out_counters->energy_uj = chip->stats.kernels * 10;
    sim_unlock();
    return FER_OK;
}

static fer_status device_clock(void *object, uint64_t *out_device_ns, uint64_t *out_host_ns) {
    const sim_device *device = object;
    *out_host_ns = device->host->clock_ns(device->host->self);
    *out_device_ns = *out_host_ns + sim_clock_ahead_ns(device->chip->index);
    return FER_OK;
}

static fer_status profile_begin(void *object) {
    sim_device *device = object;
    sim_lock();
    device->is_profiled = 1;
    device->profile_length = 0;
    sim_unlock();
    return FER_OK;
}

static fer_status profile_end(void *object, fer_text_fn write, void *self) {
    sim_device *device = object;
    char text[sizeof(device->profile)];
    sim_lock();
    device->is_profiled = 0;
    uint32_t length = device->profile_length;
    memcpy(text, device->profile, length);
    sim_unlock();
    return write(self, text, length) == 0 ? FER_OK
                                          : sim_fail(device, FER_IO, NULL, "nobody takes the text");
}

static fer_status trim(void *object, uint64_t *out_freed_bytes) {
    sim_device *device = object;
    fer_status status = sim_enter(device);
    if (status != FER_OK) {
        return status;
    }
    sim_lock();
    *out_freed_bytes = device->chip->cached_bytes;
    device->chip->cached_bytes = 0;
    device->chip->stats.trims++;
    sim_unlock();
    return FER_OK;
}

/* ---- interop ---- */

static fer_status
event_import(void *object, int32_t handle_type, uint64_t handle, void **out_event) {
    const sim_device *device = object;
    if (handle_type != FER_HANDLE_NATIVE || handle == 0) {
        return sim_fail(device, FER_UNSUPPORTED, NULL, "only native handles");
    }
    *out_event = sim_event_retain((sim_event *)(uintptr_t)handle);
    return FER_OK;
}

static fer_status
event_export(void *object, void *event, int32_t handle_type, uint64_t *out_handle) {
    const sim_device *device = object;
    if (handle_type != FER_HANDLE_NATIVE) {
        return sim_fail(device, FER_UNSUPPORTED, NULL, "only native handles");
    }
    *out_handle = (uintptr_t)event;
    return FER_OK;
}

/* ---- the module ---- */

static const fer_backend_core core = {.struct_size = sizeof(core),
                                      .create = create,
                                      .destroy = destroy,
                                      .device_count = device_count,
                                      .device_info = device_info,
                                      .device_open = device_open,
                                      .device_close = device_close,
                                      .op_supported = sim_op_supported,
                                      .compile = sim_compile,
                                      .exec_destroy = sim_exec_destroy,
                                      .workspace_bytes = sim_workspace_bytes,
                                      .run = sim_run,
                                      .op_claims = sim_op_claims};

static const fer_backend_observe observe = {.struct_size = sizeof(observe),
                                            .counters = counters,
                                            .clock = device_clock,
                                            .event_times = sim_event_times,
                                            .profile_begin = profile_begin,
                                            .profile_end = profile_end,
                                            .trim = trim};

static const fer_backend_interop interop = {.struct_size = sizeof(interop),
                                            .buffer_import = sim_buffer_import,
                                            .buffer_export = sim_buffer_export,
                                            .event_import = event_import,
                                            .event_export = event_export,
                                            .stream_native = sim_stream_native,
                                            .stream_wrap = sim_stream_wrap};

fer_status sim_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out) {
    if (host_min > FER_BACKEND_ABI_MAX || host_max < FER_BACKEND_ABI_MIN ||
        out->struct_size < sizeof(*out)) {
        return FER_VERSION;
    }
    out->abi_version = host_max < FER_BACKEND_ABI_MAX ? host_max : FER_BACKEND_ABI_MAX;
    out->name = "sim";
    out->version = "1";
    out->core = &core;
    out->instances = &sim_instances;
    out->memory = &sim_memory;
    out->async = &sim_async;
    out->compiler = &sim_compiler;
    out->interop = &interop;
    out->observe = &observe;
    return FER_OK;
}

fer_status sim_plain_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out) {
    static const char is_plain = 1;
    if (host_min > FER_BACKEND_ABI_MAX || host_max < FER_BACKEND_ABI_MIN ||
        out->struct_size < sizeof(*out)) {
        return FER_VERSION;
    }
    out->abi_version = host_max < FER_BACKEND_ABI_MAX ? host_max : FER_BACKEND_ABI_MAX;
    out->flags = FER_MODULE_PER_OP;
    out->name = "simplain";
    out->version = "1";
    out->self = (void *)(uintptr_t)&is_plain;
    out->core = &core;
    out->memory = &sim_memory;
    return FER_OK;
}

/* As a loadable module it is one chip set of its own, without a test that controls it. */
#ifdef FER_BACKEND_MODULE
FER_API fer_status fer_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out);
fer_status fer_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out) {
    return sim_backend_open(host_min, host_max, out);
}
#endif
