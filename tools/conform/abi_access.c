/* SPDX-License-Identifier: Apache-2.0
 *
 * How the suite gets at a device's tables with public headers alone: it registers a wrapper module,
 * attack, and opens attack(device): a wrapper is given the complete module it wraps. The module's
 * own entry is found as the host finds it, by the manifest.
 */
#include "abi.h"
#include "conform.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the wrapper ---- */

/* What create was given; the command opens one device at a time. */
static fer_create_args given;

static fer_status create(void *self, const fer_create_args *args, void **out_backend) {
    (void)self;
    given = *args;
    *out_backend = &given;
    return FER_OK;
}

static void destroy(void *backend) { (void)backend; }

static fer_status device_count(void *backend, uint32_t *out_count) {
    (void)backend;
    *out_count = 1;
    return FER_OK;
}

static fer_status device_info(void *backend, uint32_t index, fer_backend_device_info *out_info) {
    (void)backend;
    (void)index;
    out_info->flags = FER_DEVICE_NEVER_DEFAULT;
    return FER_OK;
}

static fer_status device_open(void *backend, uint32_t index, void **out_device) {
    (void)backend;
    (void)index;
    (void)out_device;
    return FER_UNSUPPORTED; /* nobody computes here */
}

static void device_close(void *device) { (void)device; }

static fer_status
op_supported(void *device, const fer_subgraph *graph, uint32_t node, fer_support *out_support) {
    (void)device;
    (void)graph;
    (void)node;
    (void)out_support;
    return FER_OK;
}

static fer_status compile(void *device, const fer_subgraph *graph, void **out_exec) {
    (void)device;
    (void)graph;
    (void)out_exec;
    return FER_UNSUPPORTED;
}

static void exec_destroy(void *device, void *exec) {
    (void)device;
    (void)exec;
}

static fer_status
workspace_bytes(void *device, void *exec, const int64_t *dim_values, uint64_t *out_bytes) {
    (void)device;
    (void)exec;
    (void)dim_values;
    (void)out_bytes;
    return FER_UNSUPPORTED;
}

static fer_status run(void *device, void *exec, const fer_run_args *args) {
    (void)device;
    (void)exec;
    (void)args;
    return FER_UNSUPPORTED;
}

static const fer_backend_core core = {.struct_size = sizeof core,
                                      .create = create,
                                      .destroy = destroy,
                                      .device_count = device_count,
                                      .device_info = device_info,
                                      .device_open = device_open,
                                      .device_close = device_close,
                                      .op_supported = op_supported,
                                      .compile = compile,
                                      .exec_destroy = exec_destroy,
                                      .workspace_bytes = workspace_bytes,
                                      .run = run};

static fer_status attack_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out) {
    if (host_min > FER_BACKEND_ABI_MAX || host_max < FER_BACKEND_ABI_MIN) {
        return FER_VERSION;
    }
    out->abi_version = FER_BACKEND_ABI_MAX;
    out->flags = FER_MODULE_WRAPPER;
    out->name = "attack";
    out->version = fer_version_string();
    out->core = &core;
    return FER_OK;
}

fer_status abi_reach(abi *self, fer_context *context, const char *device) {
    char name[128];
    fer_device *found = NULL;
    fer_status status = fer_backend_register(context, attack_open);
    if (status != FER_OK) {
        return status;
    }
    memset(&given, 0, sizeof given);
    (void)snprintf(name, sizeof name, "attack(%s)", device);
    status = fer_device_find(context, name, &found);
    if (status != FER_OK) {
        return status;
    }
    fer_device_release(found);
    const char *index = strrchr(device, ':');
    self->context = context;
    self->device = device;
    self->module = given.inner;
    self->reference = given.reference;
    self->real = given.host;
    self->index = index != NULL ? (uint32_t)strtoul(index + 1, NULL, 10) : 0;
    return FER_OK;
}

/* ---- the module's own entry ---- */

void abi_find_entry(abi *self) {
    char folder[1024], path[1200], line[1200], module[2400] = "";
    size_t length = strcspn(self->device, ":(");
    manifest_folder(folder, sizeof folder);
    (void)snprintf(path, sizeof path, "%s/%.*s.backend", folder, (int)length, self->device);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        if (strncmp(line, "module=", 7) == 0) {
            (void)snprintf(module,
                           sizeof module,
                           "%s%s%s",
                           line[7] == '/' ? "" : folder,
                           line[7] == '/' ? "" : "/../",
                           line + 7);
        } else if (strncmp(line, "options=", 8) == 0) {
            (void)snprintf(self->options, sizeof self->options, "%s", line + 8);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    void *library = module[0] != '\0' ? dlopen(module, RTLD_NOW | RTLD_LOCAL) : NULL;
    void *symbol = library != NULL ? dlsym(library, FER_BACKEND_ENTRY_SYMBOL) : NULL;
    memcpy(&self->entry, &symbol, sizeof self->entry); /* it stays open as long as the command */
}
