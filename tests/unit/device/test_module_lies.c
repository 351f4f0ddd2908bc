/* SPDX-License-Identifier: Apache-2.0
 *
 * Modules and manifests that are wrong: about their version, their name, their tables, what they
 * answer. Each is a status with a sentence or a line in the load report, and nothing else.
 */
#include "sim_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

/* ---- a module whose answers a test sets ---- */

typedef struct liar {
    fer_backend_module module;
    fer_backend_core core;
    fer_status count_status, info_status, open_status, supported_status, create_status;
    uint32_t count;
    int makes_nothing, opens_nothing, is_wordy;
} liar;

static liar lie;
static int thing; /* its address is every object */

static fer_status lie_create(void *self, const fer_create_args *args, void **out_backend) {
    (void)self;
    (void)args;
    if (lie.create_status == FER_OK && !lie.makes_nothing) {
        *out_backend = &thing;
    }
    return lie.create_status;
}
static void lie_destroy(void *object) { assert_ptr_equal(object, &thing); }
static fer_status lie_count(void *backend, uint32_t *out_count) {
    (void)backend;
    *out_count = lie.count;
    return lie.count_status;
}
static fer_status lie_info(void *backend, uint32_t index, fer_backend_device_info *out_info) {
    (void)backend;
    out_info->flags = FER_DEVICE_HOST_MEMORY | FER_DEVICE_NEVER_DEFAULT;
    memset(out_info->chip, 'c', sizeof(out_info->chip)); /* no end */
    memset(out_info->note, 'n', sizeof(out_info->note));
    return index == 1 ? lie.info_status : FER_OK;
}
static fer_status lie_open(void *backend, uint32_t index, void **out_device) {
    (void)backend;
    (void)index;
    if (lie.open_status == FER_OK && !lie.opens_nothing) {
        *out_device = &thing;
    }
    return lie.open_status;
}
static fer_status
lie_supported(void *device, const fer_subgraph *graph, uint32_t node, fer_support *out_support) {
    (void)device;
    (void)graph;
    (void)node;
    memset(out_support->reason, 'r', sizeof(out_support->reason)); /* no end */
    return lie.supported_status;
}
static fer_status lie_compile(void *device, const fer_subgraph *graph, void **out_exec) {
    (void)device;
    (void)graph;
    *out_exec = &thing;
    return FER_OK;
}
static void lie_exec_destroy(void *device, void *exec) {
    (void)device;
    (void)exec;
}
static fer_status lie_bytes(void *device, void *exec, const int64_t *dims, uint64_t *out_bytes) {
    (void)device;
    (void)exec;
    (void)dims;
    *out_bytes = 0;
    return FER_OK;
}
static fer_status lie_run(void *device, void *exec, const fer_run_args *args) {
    (void)device;
    (void)exec;
    (void)args;
    return FER_OK;
}

static const fer_backend_core honest = {.struct_size = sizeof(honest),
                                        .create = lie_create,
                                        .destroy = lie_destroy,
                                        .device_count = lie_count,
                                        .device_info = lie_info,
                                        .device_open = lie_open,
                                        .device_close = lie_destroy,
                                        .op_supported = lie_supported,
                                        .compile = lie_compile,
                                        .exec_destroy = lie_exec_destroy,
                                        .workspace_bytes = lie_bytes,
                                        .run = lie_run};

static void lie_reset(void) {
    memset(&lie, 0, sizeof(lie));
    lie.core = honest;
    lie.count = 1;
    lie.module = (fer_backend_module){.struct_size = sizeof(lie.module),
                                      .abi_version = FER_BACKEND_ABI_MAX,
                                      .name = "liar",
                                      .version = "0",
                                      .core = &lie.core};
}

static fer_status lie_entry(uint32_t host_min, uint32_t host_max, fer_backend_module *out) {
    assert_int_equal(host_min, FER_BACKEND_ABI_MIN);
    assert_int_equal(host_max, FER_BACKEND_ABI_MAX);
    assert_int_equal(out->struct_size, sizeof(*out));
    *out = lie.module;
    return FER_OK;
}
static fer_status refusing_entry(uint32_t host_min, uint32_t host_max, fer_backend_module *out) {
    (void)host_min;
    (void)host_max;
    (void)out;
    return FER_VERSION;
}
static fer_status failing_entry(uint32_t host_min, uint32_t host_max, fer_backend_module *out) {
    (void)host_min;
    (void)host_max;
    memset(out, 0xff, sizeof(*out));
    return 12345;
}

static void versions_and_names_are_checked(void **state) {
    (void)state;
    fer_context *context = sim_context();
    FAILS(FER_VERSION, fer_backend_register(context, refusing_entry));
    FAILS(FER_BACKEND, fer_backend_register(context, failing_entry));
    FAILS(FER_INVALID_ARGUMENT, fer_backend_register(context, NULL));
    static const uint32_t versions[] = {0, FER_BACKEND_ABI_MAX + 1, UINT32_MAX};
    for (int i = 0; i < 3; i++) {
        lie_reset();
        lie.module.abi_version = versions[i];
        FAILS(FER_VERSION, fer_backend_register(context, lie_entry));
    }
    static const char *const names[] = {NULL,
                                        "",
                                        "Liar",
                                        "9lives",
                                        "a-b",
                                        "a b",
                                        "x(y)",
                                        "abcdefghijabcdefghijabcdefghijabcdefghij"};
    for (int i = 0; i < 8; i++) {
        lie_reset();
        lie.module.name = names[i];
        FAILS(FER_BACKEND, fer_backend_register(context, lie_entry));
        SAYS("name");
    }
    lie_reset();
    lie.module.name = "sim";
    FAILS(FER_INVALID_ARGUMENT, fer_backend_register(context, lie_entry));
    SAYS("sim");
    fer_device *device = NULL;
    OK(fer_device_find(context, "sim", &device));
    fer_device_release(device);
    fer_context_release(context);
}

static fer_status no_alloc(void *d, uint64_t b, uint64_t a, int32_t k, fer_mem *m) {
    (void)d;
    (void)b;
    (void)a;
    (void)k;
    (void)m;
    return FER_OUT_OF_MEMORY;
}
static fer_status no_stream(void *device, void **out_stream) {
    (void)device;
    *out_stream = NULL;
    return FER_OK;
}
static void no_instance(void *device, void *instance) {
    (void)device;
    (void)instance;
}

static void tables_are_checked(void **state) {
    (void)state;
    fer_context *context = sim_context();
    lie_reset();
    lie.module.core = NULL;
    FAILS(FER_BACKEND, fer_backend_register(context, lie_entry));
    /* Each required slot, and a table too short for the last. */
    for (size_t at = offsetof(fer_backend_core, create); at < offsetof(fer_backend_core, op_claims);
         at += sizeof(void *)) {
        lie_reset();
        memset((char *)&lie.core + at, 0, sizeof(void *));
        FAILS(FER_BACKEND, fer_backend_register(context, lie_entry));
        SAYS("level 0");
    }
    lie_reset();
    lie.core.struct_size = offsetof(fer_backend_core, run);
    FAILS(FER_BACKEND, fer_backend_register(context, lie_entry));
    lie.core.struct_size = 0;
    FAILS(FER_BACKEND, fer_backend_register(context, lie_entry));
    /* Levels come whole. */
    static const fer_backend_memory memory = {.struct_size = sizeof(memory), .alloc = no_alloc};
    static const fer_backend_async async = {.struct_size = sizeof(async),
                                            .stream_create = no_stream};
    static const fer_backend_instances instances = {.struct_size = sizeof(instances),
                                                    .instance_destroy = no_instance};
    lie_reset();
    lie.module.memory = &memory;
    FAILS(FER_BACKEND, fer_backend_register(context, lie_entry));
    lie_reset();
    lie.module.async = &async;
    FAILS(FER_BACKEND, fer_backend_register(context, lie_entry));
    lie_reset();
    lie.module.instances = &instances;
    FAILS(FER_BACKEND, fer_backend_register(context, lie_entry));
    /* A short table has no more than it says, a long one no less than we know. */
    static const fer_backend_memory shorter = {.struct_size = 8, .alloc = no_alloc};
    struct {
        fer_backend_core known;
        void *tail[8];
    } longer;
    memset(&longer, 0xff, sizeof(longer));
    longer.known = honest;
    longer.known.struct_size = sizeof(longer);
    lie_reset();
    lie.module.memory = &shorter;
    lie.module.core = &longer.known;
    OK(fer_backend_register(context, lie_entry));
    fer_device *device = NULL;
    fer_tensor *tensor = NULL;
    OK(fer_device_find(context, "liar", &device));
    OK(fer_tensor_create_on(device, FER_F32, 1, (int64_t[]){4}, &tensor)); /* default memory */
    check_floats(tensor, (float[]){0, 0, 0, 0}, 4);
    assert_non_null(fer_tensor_data(tensor));
    fer_device_info info = {.struct_size = sizeof(info)};
    OK(fer_device_get_info(device, &info));
    assert_int_equal(strlen(info.chip), 95);
    assert_int_equal(strlen(info.note), 159);
    fer_tensor_release(tensor);
    fer_device_release(device);
    fer_context_release(context);
}

static uint32_t failures_reported(fer_context *context, const char *backend) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < fer_context_load_report_count(context); i++) {
        fer_load_line line = {.struct_size = sizeof(line)};
        OK(fer_context_load_line(context, i, &line));
        assert_true(line.detail[0] != 0);
        count += strcmp(line.backend, backend) == 0 && line.status != FER_OK;
    }
    return count;
}

static void answers_are_checked(void **state) {
    (void)state;
    for (int kind = 0; kind < 8; kind++) {
        fer_context *context = sim_context();
        lie_reset();
        lie.create_status = kind == 0 ? FER_IO : FER_OK;
        lie.makes_nothing = kind == 1;
        lie.count_status = kind == 2 ? FER_BACKEND : FER_OK;
        lie.count = kind == 3 ? 2 : kind == 4 ? 0 : 1;
        lie.info_status = FER_IO;
        lie.open_status = kind == 5 ? FER_NO_DEVICE : FER_OK;
        lie.opens_nothing = kind == 6;
        lie.supported_status = FER_OK;
        OK(fer_backend_register(context, lie_entry));
        uint32_t count = 0;
        OK(fer_context_device_count(context, &count)); /* one bad backend is not an error */
        int has_device = kind == 3 || kind >= 5;
        assert_int_equal(failures_reported(context, "liar"), kind < 4);
        assert_int_equal(count, 7 + has_device);
        fer_device *device = NULL;
        fer_tensor *tensor = NULL;
        if (has_device) {
            OK(fer_device_find(context, "liar", &device));
            fer_status status = fer_tensor_create_on(device, FER_F32, 0, NULL, &tensor);
            assert_int_equal(status, kind == 5 ? FER_NO_DEVICE : kind == 6 ? FER_BACKEND : FER_OK);
            fer_tensor_release(tensor);
        } else {
            FAILS(FER_NO_DEVICE, fer_device_find(context, "liar", &device));
        }
        if (kind == 7) { /* an endless reason */
            fer_program *program =
                chain_program(context, 2, (const char *[]){"Relu"}, 1, "liar,ref");
            fer_placement line = {.struct_size = sizeof(line)};
            OK(fer_program_placement(program, 0, &line));
            assert_string_equal(line.device, "ref:0");
            assert_true(strlen(line.reason) < 260);
            fer_program_release(program);
            lie.supported_status = FER_BACKEND;
            fer_graph *graph = chain(context, 2, (const char *[]){"Relu"}, 1);
            program = NULL;
            FAILS(FER_BACKEND, compile_on(context, graph, "liar,ref", &program));
            SAYS("liar:0");
            fer_graph_release(graph);
        }
        fer_device_release(device);
        fer_context_release(context);
    }
}

/* ---- manifests ---- */

static char folder[64];

static void manifest_write(const char *name, const char *text, size_t length) {
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void manifest_remove(const char *name) {
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    (void)unlink(path);
}

/* The report's line for a manifest in a context of its own. */
static fer_status
manifest_try(const char *text, size_t length, const char *backend, char *detail, size_t room) {
    manifest_write("one.backend", text, length);
    fer_context *context = NULL;
    fer_context_options options = {.struct_size = sizeof(options), .backend_path = folder};
    OK(fer_context_create(&options, &context));
    fer_status status = FER_NOT_READY;
    for (uint32_t i = 0; i < fer_context_load_report_count(context); i++) {
        fer_load_line line = {.struct_size = sizeof(line)};
        OK(fer_context_load_line(context, i, &line));
        if (strcmp(line.backend, backend) == 0) {
            status = line.status;
            (void)snprintf(detail, room, "%s", line.detail);
        }
    }
    uint32_t count = 0;
    OK(fer_context_device_count(context, &count));
    fer_context_release(context);
    manifest_remove("one.backend");
    return status;
}

static void manifests_are_checked(void **state) {
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/ferrule-manifests-XXXXXX");
    assert_non_null(mkdtemp(folder));
    char detail[300];
    static const struct {
        const char *text, *backend, *says;
        fer_status status;
    } wrong[] = {
        {"name=x\nmodule=none.so\n",                        "x",           "none.so",                        FER_IO     },
        {"name=x\nmodule=/dev/null\n",                      "x",           "/dev/null",                      FER_IO     },
        {"name=x\nmodule=none.so\nabi_min=9\n",             "x",           "ABI 9",                          FER_VERSION},
        {"name=x\nmodule=none.so\nabi_min=0\nabi_max=-1\n", "x",           "none.so",                        FER_IO     },
        {"name=x\nmodule=none.so\nabi_min=two\n",           "x",           "'abi_min' must be a number",     FER_BACKEND},
        {"name=x\nmodule=none.so\nabi_min=\n",              "x",           "'abi_min' must be a number",     FER_BACKEND},
        {"name=x\nmodule=none.so\ncolor=red\n",             "x",           "'color' is no key of",           FER_BACKEND},
        {"name=x\nwhat is this\n",                          "x",           ":2: 'what is this' is not key", FER_BACKEND},
        {"module=none.so\n",                                "one.backend", "needs the keys name and module", FER_BACKEND},
        {"name=x\n",                                        "x",           "needs the keys name and module", FER_BACKEND},
        {"",                                                "one.backend", "needs the keys",                 FER_BACKEND},
        {"# nothing\n\n",                                   "one.backend", "needs the keys",                 FER_BACKEND},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        detail[0] = 0;
        fer_status status = manifest_try(
            wrong[i].text, strlen(wrong[i].text), wrong[i].backend, detail, sizeof(detail));
        if (status != wrong[i].status || strstr(detail, wrong[i].says) == NULL) {
            fail_msg("manifest %u: %s: %s", (unsigned)i, fer_status_name(status), detail);
        }
    }
    /* Too long, and not text at all. */
    char *text = malloc(70000);
    memset(text, 'x', 70000);
    FAILS(FER_BACKEND, manifest_try(text, 70000, "one.backend", detail, sizeof(detail)));
    memcpy(text, "name=", 5);
    FAILS(FER_BACKEND, manifest_try(text, 3000, "one.backend", detail, sizeof(detail)));
    for (int i = 0; i < 3000; i++) {
        text[i] = (char)(i * 37);
    }
    FAILS(FER_BACKEND, manifest_try(text, 3000, "one.backend", detail, sizeof(detail)));
    free(text);
    /* What is no manifest is not looked at; a folder in its place is told of. */
    manifest_write("two.txt", "rubbish", 7);
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/three.backend", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_not_equal(manifest_try("# x\n", 4, "three.backend", detail, sizeof(detail)), FER_OK);
    assert_int_equal(rmdir(path), 0);
    manifest_remove("two.txt");
    assert_int_equal(rmdir(folder), 0);
}

/* The simulator as a module: loaded, run and let go; and a manifest that calls it something else.
 */
static void a_manifest_loads_a_module(void **state) {
    (void)state;
    const char *module = getenv("FERRULE_SIM_MODULE");
    if (module == NULL || access(module, R_OK) != 0) {
        skip();
    }
    (void)snprintf(folder, sizeof(folder), "/tmp/ferrule-manifests-XXXXXX");
    assert_non_null(mkdtemp(folder));
    char text[1200], detail[300];
    int length = snprintf(text, sizeof(text), "# sim\nname=other\nmodule=%s\n", module);
    FAILS(FER_BACKEND, manifest_try(text, (size_t)length, "other", detail, sizeof(detail)));
    assert_non_null(strstr(detail, "promises backend 'other' but the module is 'sim'"));
    length = snprintf(
        text, sizeof(text), "name=sim\r\nmodule=%s\nabi_min=1\nabi_max=1\noptions=a=b\n", module);
    OK(manifest_try(text, (size_t)length, "sim", detail, sizeof(detail)));
    manifest_write("one.backend", text, (size_t)length);
    fer_context *context = NULL;
    fer_context_options options = {.struct_size = sizeof(options), .backend_path = folder};
    OK(fer_context_create(&options, &context));
    FAILS(FER_INVALID_ARGUMENT, fer_backend_load(context, module)); /* its name is taken */
    fer_program *program = chain_program(context, 2, (const char *[]){"Relu", "Neg"}, 2, "sim:1");
    OK(run_floats(program, context, NULL, (float[]){-1, 2}, 2, (float[]){0, -2}));
    fer_program_release(program);
    fer_context_release(context);
    manifest_remove("one.backend");
    assert_int_equal(rmdir(folder), 0);
    /* By path; what is not there or no module. */
    context = NULL;
    options.flags = FER_CONTEXT_NO_MANIFESTS;
    OK(fer_context_create(&options, &context));
    FAILS(FER_IO, fer_backend_load(context, "/nowhere/libferrule-none.so"));
    FAILS(FER_IO, fer_backend_load(context, "/proc/self/environ"));
    FAILS(FER_INVALID_ARGUMENT, fer_backend_load(context, NULL));
    OK(fer_backend_load(context, module));
    uint32_t count = 0;
    OK(fer_context_device_count(context, &count));
    assert_int_equal(count, SIM_CHIPS + 1);
    fer_context_release(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SIM_TEST(versions_and_names_are_checked),
        SIM_TEST(tables_are_checked),
        SIM_TEST(answers_are_checked),
        SIM_TEST(manifests_are_checked),
        SIM_TEST(a_manifest_loads_a_module),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
