/* SPDX-License-Identifier: Apache-2.0
 *
 * Registration of backends: version negotiation, name checks, completion of their tables, wrappers.
 * Nothing a module claims is believed before it is checked here.
 */
#include "base/error.h"
#include "device/device.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static int name_is_valid(const char *name) {
    if (name == NULL || name[0] < 'a' || name[0] > 'z' || strlen(name) > 30) {
        return 0;
    }
    for (const char *p = name; *p != 0; p++) {
        if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_')) {
            return 0;
        }
    }
    return 1;
}

static feri_backend *backend_named(const fer_context *context, const char *name) {
    for (uint32_t i = 0; i < context->backend_count; i++) {
        if (strcmp(context->backends[i]->name, name) == 0) {
            return context->backends[i];
        }
    }
    return NULL;
}

static fer_status module_check(fer_context *context, const fer_backend_module *module) {
    if (module->abi_version < FER_BACKEND_ABI_MIN || module->abi_version > FER_BACKEND_ABI_MAX) {
        return feri_fail(FER_VERSION,
                         "backend speaks ABI version %u, this library speaks %u to %u: use a "
                         "module built for it",
                         module->abi_version,
                         FER_BACKEND_ABI_MIN,
                         FER_BACKEND_ABI_MAX);
    }
    if (!name_is_valid(module->name)) {
        return feri_fail(FER_BACKEND,
                         "the module's name is not [a-z][a-z0-9_]* of at most 30 characters");
    }
    if (backend_named(context, module->name) != NULL) {
        return feri_fail(
            FER_INVALID_ARGUMENT, "a backend called '%s' is already registered", module->name);
    }
    return FER_OK;
}

/* A backend of the module, complete, and room for it in the context. */
static fer_status backend_new(fer_context *context,
                              const fer_backend_module *module,
                              const char *name,
                              const char *options,
                              feri_backend **out_backend) {
    FER_TRY(feri_grow(&context->env,
                      &context->backends,
                      &context->backend_capacity,
                      context->backend_count + 1,
                      sizeof(feri_backend *)));
    size_t options_bytes = strlen(options) + 1;
    feri_backend *backend = feri_alloc(&context->env, sizeof(*backend) + options_bytes);
    if (backend == NULL) {
        return feri_error_status();
    }
    backend->context = context;
    memcpy(backend->options, options, options_bytes);
    snprintf(backend->name, sizeof(backend->name), "%s", name);
    feri_host_services_init(backend);
    fer_status status = feri_module_complete(backend, module);
    if (status != FER_OK) {
        feri_module_finish(backend);
        return status;
    }
    *out_backend = backend;
    return FER_OK;
}

fer_status feri_backend_start(feri_backend *backend) {
    fer_create_args args = {
        .struct_size = sizeof(args), .host = &backend->host, .options = backend->options};
    return backend->tables.core.create(backend->module.self, &args, &backend->handle);
}

void feri_module_finish(feri_backend *backend) {
    feri_env *env = &backend->context->env;
    if (backend->handle != NULL) {
        backend->tables.core.destroy(backend->handle);
    }
    if (backend->library != NULL && (backend->module.flags & FER_MODULE_MAY_UNLOAD) != 0) {
        dlclose(backend->library);
    }
    feri_free(env, backend, sizeof(*backend) + strlen(backend->options) + 1);
}

fer_status feri_backend_add(fer_context *context,
                            fer_backend_entry_fn entry,
                            void *library,
                            const char *options) {
    fer_backend_module module;
    memset(&module, 0, sizeof(module));
    module.struct_size = sizeof(module);
    fer_status status = entry(FER_BACKEND_ABI_MIN, FER_BACKEND_ABI_MAX, &module);
    if (status != FER_OK) {
        return feri_fail(status == FER_VERSION ? FER_VERSION : FER_BACKEND,
                         "the module refuses ABI versions %u to %u (status %d)",
                         FER_BACKEND_ABI_MIN,
                         FER_BACKEND_ABI_MAX,
                         status);
    }
    FER_TRY(module_check(context, &module));
    feri_backend *backend = NULL;
    FER_TRY(backend_new(context, &module, module.name, options == NULL ? "" : options, &backend));
    backend->library = library;
    context->backends[context->backend_count++] = backend;
    context->devices_ready = 0;
    char detail[200];
    snprintf(detail,
             sizeof(detail),
             "%s, ABI %u",
             module.version == NULL ? "" : module.version,
             module.abi_version);
    feri_load_report_add(context, FER_OK, backend->name, detail);
    return FER_OK;
}

fer_status fer_backend_register(fer_context *context, fer_backend_entry_fn entry) {
    if (context == NULL || entry == NULL) {
        return feri_null_argument("context or entry");
    }
    pthread_mutex_lock(&context->lock);
    fer_status status = feri_backend_add(context, entry, /*library=*/NULL, /*options=*/"");
    pthread_mutex_unlock(&context->lock);
    return status;
}

fer_status feri_backend_open_library(fer_context *context, const char *path, const char *options) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        return feri_fail(FER_IO, "cannot open module '%s': %s", path, dlerror());
    }
    fer_backend_entry_fn entry = NULL;
    void *symbol = dlsym(library, FER_BACKEND_ENTRY_SYMBOL);
    if (symbol == NULL) {
        dlclose(library);
        return feri_fail(FER_BACKEND, "module '%s' has no symbol " FER_BACKEND_ENTRY_SYMBOL, path);
    }
    memcpy(&entry, &symbol, sizeof(entry)); /* ISO C has no cast from object to function pointer */
    fer_status status = feri_backend_add(context, entry, library, options);
    if (status != FER_OK) {
        feri_error_prefix("module '%s'", path);
        /* It was refused before anything of it was kept; whether it may be unloaded is not known,
         * so it stays. */
    }
    return status;
}

fer_status fer_backend_load(fer_context *context, const char *path) {
    if (context == NULL || path == NULL) {
        return feri_null_argument("context or path");
    }
    pthread_mutex_lock(&context->lock);
    fer_status status = feri_backend_open_library(context, path, "");
    pthread_mutex_unlock(&context->lock);
    return status;
}

fer_status feri_backend_wrap(fer_context *context,
                             feri_backend *outer,
                             feri_backend *inner,
                             feri_backend **out_backend) {
    char name[48];
    snprintf(name, sizeof(name), "%.20s(%.24s)", outer->name, inner->name);
    feri_backend *wrapped = NULL;
    FER_TRY(backend_new(context, &outer->adapter.original, name, outer->options, &wrapped));
    const feri_backend *reference = backend_named(context, "ref");
    wrapped->adapter.inner = &inner->module;
    wrapped->adapter.reference = reference == NULL ? NULL : &reference->module;
    fer_status status = feri_backend_start(wrapped);
    if (status != FER_OK) {
        feri_module_finish(wrapped);
        return status;
    }
    /* What a wrapper's entry cannot know: how its inner module wants its graphs. */
    wrapped->module.flags |= inner->module.flags & FER_MODULE_PER_OP;
    context->backends[context->backend_count++] = wrapped;
    *out_backend = wrapped;
    return FER_OK;
}
