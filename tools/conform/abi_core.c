/* SPDX-License-Identifier: Apache-2.0
 *
 * Attacks on the life of a backend: create, destroy, device_count, device_info, device_open,
 * device_close, op_claims.
 */
#include "abi.h"

#include <string.h>

static void *const untouched = (void *)(uintptr_t)0x1111;

static fer_create_args args_of(const abi *self) {
    return (fer_create_args){.struct_size = sizeof(fer_create_args),
                             .host = &self->host->table,
                             .options = self->options,
                             .reference = self->reference};
}

static void must_work(abi_life *life) {
    abi_graph graph;
    abi_exec exec;
    if (abi_graph_find(life, ABI_PLAIN, &graph)) {
        abi_exec_make(life, &graph, &exec);
        abi_exec_must(&exec, 1);
        abi_exec_finish(&exec);
    }
}

/* ---- create and destroy ---- */

static void create_again(abi *self) {
    for (int i = 0; i < 10; i++) {
        abi_life life;
        abi_life_open(self, &life);
        must_work(&life);
        abi_life_close(&life);
    }
}

/* Two of one module alive at once, destroyed in the order they were made. */
static void create_twice(abi *self) {
    abi_life first, second;
    abi_life_open(self, &first);
    abi_life_open(self, &second);
    must_work(&first);
    must_work(&second);
    abi_life_close(&first);
    must_work(&second);
    abi_life_close(&second);
}

/* A backend whose devices nobody asks for. */
static void create_and_destroy(abi *self) {
    fer_create_args args = args_of(self);
    void *backend = NULL;
    abi_ok(self, self->module->core->create(self->module->self, &args, &backend), "create");
    self->module->core->destroy(backend);
}

static void create_with(abi *self, const fer_create_args *args, const char *what) {
    void *backend = untouched;
    const fer_backend_core *core = self->module->core;
    uint32_t count = 0;
    abi_ok(self, core->create(self->module->self, args, &backend), what);
    abi_ok(self, core->device_count(backend, &count), "device_count");
    core->destroy(backend);
}

static void create_long(abi *self) {
    fer_create_args args = args_of(self);
    create_with(self,
                abi_lengthen(self->host, &args, sizeof args, 0),
                "create with longer arguments whose tail is zero");
}

static void create_tail(abi *self) {
    fer_create_args args = args_of(self);
    create_with(self,
                abi_lengthen(self->host, &args, sizeof args, 0xee),
                "create with longer arguments whose tail is not zero");
}

static void create_long_host(abi *self) {
    fer_create_args args = args_of(self);
    args.host = abi_lengthen(self->host, args.host, sizeof *args.host, 0xee);
    create_with(self, &args, "create with a longer fer_host");
}

/* Whoever cannot reach the host has nobody to tell. */
static void create_refuses(abi *self, const fer_create_args *args, const char *what) {
    void *backend = untouched;
    fer_status status = self->module->core->create(self->module->self, args, &backend);
    if (status == FER_OK) {
        abi_fail(self, "%s was answered with OK", what);
    }
    if (backend != untouched) {
        abi_fail(self, "%s failed, and yet out_backend was set", what);
    }
}

/* The host refuses for the module, so the module's own create is asked where it is known. */
static void create_short_itself(abi *self, const fer_create_args *args) {
    fer_backend_module module = {.struct_size = sizeof module};
    void *backend = untouched;
    if (self->entry != NULL &&
        self->entry(FER_BACKEND_ABI_MIN, FER_BACKEND_ABI_MAX, &module) == FER_OK &&
        module.core->create(module.self, args, &backend) == FER_OK) {
        abi_fail(self, "the module's own create takes arguments that are too short");
    }
}

static void create_short(abi *self) {
    fer_create_args args = args_of(self);
    create_short_itself(self, abi_cut(self->host, &args, 8));
    create_refuses(self, abi_cut(self->host, &args, 8), "create with 8 bytes of arguments");
    create_refuses(self,
                   abi_cut(self->host, &args, offsetof(fer_create_args, inner)),
                   "create with arguments that end before inner");
}

static void create_short_host(abi *self) {
    fer_create_args args = args_of(self);
    args.host = abi_cut(self->host, args.host, offsetof(fer_host, parallel_for));
    create_refuses(self, &args, "create with a fer_host that ends before parallel_for");
}

/* A wrapper without what it wraps: only its own entry shows that. */
static void create_no_inner(abi *self) {
    fer_backend_module module = {.struct_size = sizeof module};
    if (self->entry == NULL) {
        abi_skip(self, "the module's file is not known");
    }
    abi_ok(self, self->entry(FER_BACKEND_ABI_MIN, FER_BACKEND_ABI_MAX, &module), "the entry");
    if ((module.flags & FER_MODULE_WRAPPER) == 0) {
        abi_skip(self, "it is no wrapper");
    }
    fer_create_args args = args_of(self);
    void *backend = untouched;
    abi_said_reset();
    abi_refused(self, module.core->create(module.self, &args, &backend), "create without inner");
    if (backend != untouched) {
        abi_fail(self, "create without inner set out_backend");
    }
}

/* ---- devices ---- */

static void count_again(abi *self) {
    abi_life life;
    uint32_t first = 0, second = 1;
    abi_life_open(self, &life);
    abi_ok(self, life.m->core->device_count(life.backend, &first), "device_count");
    abi_ok(self, life.m->core->device_count(life.backend, &second), "device_count");
    if (first != second || first <= self->index) {
        abi_fail(self, "device_count is %u, then %u, with a device %u", first, second, self->index);
    }
    abi_life_close(&life);
}

static void info_check(abi *self, const fer_backend_device_info *info, uint32_t index) {
    uint32_t known = FER_DEVICE_HOST_MEMORY | FER_DEVICE_NEVER_DEFAULT;
    if (info->struct_size != sizeof *info) {
        abi_fail(self, "device_info of %u changed struct_size", index);
    }
    if (memchr(info->chip, 0, sizeof info->chip) == NULL ||
        memchr(info->note, 0, sizeof info->note) == NULL ||
        memchr(info->chip_id, 0, sizeof info->chip_id) == NULL) {
        abi_fail(self, "a text of device_info of %u has no end", index);
    }
    if ((info->const_alignment & (info->const_alignment - 1)) != 0 ||
        (info->buffer_alignment & (info->buffer_alignment - 1)) != 0) {
        abi_fail(self, "an alignment of device %u is no power of two", index);
    }
    if ((info->flags & ~known) != 0 || info->type < FER_DEVICE_OTHER ||
        info->type > FER_DEVICE_ACCELERATOR) {
        abi_fail(self, "device %u has type %d, flags %x: unknown", index, info->type, info->flags);
    }
}

static void info_every(abi *self) {
    abi_life life;
    uint32_t count = 0;
    abi_life_open(self, &life);
    abi_ok(self, life.m->core->device_count(life.backend, &count), "device_count");
    for (uint32_t i = 0; i < count; i++) {
        fer_backend_device_info info = {.struct_size = sizeof info}, again = info;
        abi_ok(self, life.m->core->device_info(life.backend, i, &info), "device_info");
        abi_ok(self, life.m->core->device_info(life.backend, i, &again), "device_info again");
        info_check(self, &info, i);
        if (strcmp(info.chip_id, again.chip_id) != 0 || info.flags != again.flags) {
            abi_fail(self, "device_info of %u says another thing when asked again", i);
        }
    }
    abi_life_close(&life);
}

static void info_beyond(abi *self) {
    abi_life life;
    uint32_t count = 0;
    abi_life_open(self, &life);
    abi_ok(self, life.m->core->device_count(life.backend, &count), "device_count");
    const uint32_t indices[] = {count, count + 1, 1U << 31, UINT32_MAX};
    for (size_t i = 0; i < sizeof indices / sizeof *indices; i++) {
        fer_backend_device_info info = {.struct_size = sizeof info};
        abi_said_reset();
        abi_refused(self,
                    life.m->core->device_info(life.backend, indices[i], &info),
                    "device_info of a device that is not there");
    }
    abi_life_close(&life);
}

static void info_long(abi *self) {
    abi_life life;
    abi_life_open(self, &life);
    fer_backend_device_info info = {.struct_size = sizeof info};
    fer_backend_device_info *longer = abi_lengthen(self->host, &info, sizeof info, 0xee);
    abi_ok(self,
           life.m->core->device_info(life.backend, self->index, longer),
           "device_info into a longer struct");
    if (!abi_tail_is(longer, sizeof info, 0xee) || longer->struct_size != sizeof info + ABI_TAIL) {
        abi_fail(self, "device_info wrote behind what it knows, or over struct_size");
    }
    abi_life_close(&life);
}

static void info_short(abi *self) {
    abi_life life;
    abi_life_open(self, &life);
    fer_backend_device_info info = {0};
    abi_said_reset();
    abi_refused(self,
                life.m->core->device_info(life.backend, self->index, abi_cut(self->host, &info, 8)),
                "device_info into 8 bytes");
    abi_life_close(&life);
}

static void open_beyond(abi *self) {
    abi_life life;
    uint32_t count = 0;
    abi_life_open(self, &life);
    abi_ok(self, life.m->core->device_count(life.backend, &count), "device_count");
    const uint32_t indices[] = {count, count + 7, UINT32_MAX};
    for (size_t i = 0; i < sizeof indices / sizeof *indices; i++) {
        void *device = untouched;
        abi_said_reset();
        abi_refused(self,
                    life.m->core->device_open(life.backend, indices[i], &device),
                    "device_open of a device that is not there");
        if (device != untouched) {
            abi_fail(self, "device_open failed, and yet out_device was set");
        }
    }
    abi_life_close(&life);
}

static void open_twice(abi *self) {
    abi_life first;
    abi_life_open(self, &first);
    abi_life second = first;
    abi_ok(self,
           first.m->core->device_open(first.backend, self->index, &second.device),
           "a second device_open");
    must_work(&second);
    must_work(&first);
    first.m->core->device_close(first.device);
    must_work(&second);
    abi_ok(self,
           first.m->core->device_open(first.backend, self->index, &first.device),
           "device_open after device_close");
    must_work(&first);
    second.m->core->device_close(second.device);
    must_work(&first);
    abi_life_close(&first);
}

/* ---- claims ---- */

static void claims_sane(abi *self) {
    abi_life life;
    const fer_op_claim *claims = NULL, *again = NULL;
    uint32_t count = 0, count_then = 0;
    abi_life_open(self, &life);
    abi_ok(self, life.m->core->op_claims(life.device, &claims, &count), "op_claims");
    abi_ok(self, life.m->core->op_claims(life.device, &again, &count_then), "op_claims again");
    if (count != count_then || (count > 0 && (claims == NULL || again == NULL))) {
        abi_fail(self, "op_claims gives %u claims, then %u", count, count_then);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (claims[i].op == FER_OP_NONE || claims[i].revision == 0 || claims[i].op != again[i].op ||
            claims[i].revision != again[i].revision) {
            abi_fail(self,
                     "claim %u is op %u up to revision %u: none, or another when asked again",
                     i,
                     claims[i].op,
                     claims[i].revision);
        }
        for (uint32_t k = 0; k < i; k++) {
            if (claims[k].op == claims[i].op) {
                abi_fail(self, "op %u is claimed twice", claims[i].op);
            }
        }
    }
    abi_life_close(&life);
}

static const abi_case rows[] = {
    {"create",       "and-destroy", create_and_destroy},
    {"create",       "again",       create_again      },
    {"create",       "twice",       create_twice      },
    {"create",       "long-zero",   create_long       },
    {"create",       "long-tail",   create_tail       },
    {"create",       "long-host",   create_long_host  },
    {"create",       "short",       create_short      },
    {"create",       "short-host",  create_short_host },
    {"create",       "no-inner",    create_no_inner   },
    {"device_count", "again",       count_again       },
    {"device_info",  "every",       info_every        },
    {"device_info",  "beyond",      info_beyond       },
    {"device_info",  "long-tail",   info_long         },
    {"device_info",  "short",       info_short        },
    {"device_open",  "beyond",      open_beyond       },
    {"device_open",  "twice",       open_twice        },
    {"op_claims",    "sane",        claims_sane       },
};
const abi_cases abi_core_cases = {rows, sizeof rows / sizeof *rows};
