/* SPDX-License-Identifier: Apache-2.0
 *
 * Who runs what, and why: the report's reasons, fallback, pins, shares, defaults.
 */
#include "sim_fixture.h"

static fer_placement line_of(fer_program *program, const char *node, uint32_t specialization) {
    uint64_t count = 0;
    OK(fer_program_placement_count(program, &count));
    for (uint64_t i = 0; i < count; i++) {
        fer_placement line = {.struct_size = sizeof(line)};
        OK(fer_program_placement(program, i, &line));
        if (strcmp(line.node, node) == 0 && line.specialization == specialization) {
            return line;
        }
    }
    fail_msg("node '%s' has no line for specialization %u", node, specialization);
    return (fer_placement){0};
}

static void placed(fer_program *program, const char *node, const char *device, const char *reason) {
    fer_placement line = line_of(program, node, 0);
    assert_string_equal(line.device, device);
    if (reason[0] == 0) {
        assert_string_equal(line.reason, "");
    } else if (strstr(line.reason, reason) == NULL) {
        fail_msg("'%s' is not in: %s", reason, line.reason);
    }
}

static fer_status compile(fer_context *context,
                          fer_graph *graph,
                          fer_compile_options options,
                          fer_program **out_program) {
    options.struct_size = sizeof(options);
    return fer_program_compile(context, graph, &options, out_program);
}

static void refusals_have_reasons(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_graph *graph = chain(context, 4, (const char *[]){"Relu", "Abs", "Neg"}, 3);
    fer_program *program = NULL;
    OK(compile_on(context, graph, "sim,ref", &program));
    placed(program, "n0", "sim:0", "");
    placed(program, "n1", "ref:0", "sim:0: Abs is not among the ops it claims");
    placed(program, "n2", "sim:0", "");
    assert_string_equal(line_of(program, "n1", 0).op, "Abs");
    assert_int_equal(line_of(program, "n1", 0).dtype, FER_F32);
    assert_true(line_of(program, "n1", 0).work > 0);
    fer_program_release(program);
    /* Without a list the device is asked. */
    sim_configure(0, &(sim_config){.asks = 1});
    OK(compile_on(context, graph, "sim,ref", &program));
    placed(program, "n1", "ref:0", "sim:0: the chip has no unit for it");
    fer_program_release(program);
    /* A list that stops at an earlier meaning. */
    static const fer_op_claim old[] = {
        {FER_OP_Relu, 1 },
        {FER_OP_Neg,  27}
    };
    sim_configure(0, &(sim_config){.claims = old, .claim_count = 2});
    OK(compile_on(context, graph, "sim,sim:1,ref", &program));
    placed(program, "n0", "sim:1", "sim:0: it knows Relu up to opset 1, this one means opset");
    placed(program, "n1", "ref:0", "sim:1: Abs is not among");
    placed(program, "n2", "sim:0", "");
    OK(run_floats(program, context, NULL, (float[]){-1, 2, -3, 4}, 4, (float[]){0, -2, 0, -4}));
    fer_program_release(program);
    fer_graph_release(graph);
    /* Dtypes. */
    fer_value_id x = 0;
    OK(fer_graph_create(context, &graph));
    OK(fer_graph_add_input(graph, "x", FER_F64, 1, (int64_t[]){2}, NULL, &x));
    OK(fer_graph_add_output(graph, "y", node_of(graph, "Neg", "half", x)));
    OK(fer_graph_finish(graph));
    OK(compile_on(context, graph, "sim:1,ref", &program));
    placed(program, "half", "ref:0", "sim:1: the chip computes in f32 only");
    fer_program_release(program);
    fer_graph_release(graph);
    fer_context_release(context);
}

static void nobody_is_an_error_that_names_the_node(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_graph *graph = chain(context, 4, (const char *[]){"Relu", "Sqrt"}, 2);
    fer_program *program = NULL;
    FAILS(FER_UNSUPPORTED, compile_on(context, graph, "sim,sim:1", &program));
    SAYS("Sqrt");
    SAYS("n1");
    SAYS("sim:1: ");
    assert_string_equal(fer_error_last()->node, "n1");
    assert_null(program);
    FAILS(FER_NO_DEVICE, compile_on(context, graph, "sim:7", &program));
    FAILS(FER_NO_DEVICE, compile_on(context, graph, "sum", &program));
    fer_graph_release(graph);
    fer_context_release(context);
}

/* ---- fallback ---- */

typedef struct heard {
    int warnings;
    int fallbacks;
    char node[64];
    char reason[200];
} heard;

static void on_log(void *self, int32_t level, const char *message) {
    ((heard *)self)->warnings += level == FER_LOG_WARN && strstr(message, "falls back") != NULL;
}

static void on_notice(void *self, const fer_notice *notice) {
    heard *seen = self;
    if (notice->kind == FER_NOTICE_FALLBACK) {
        seen->fallbacks++;
        (void)snprintf(seen->node, sizeof(seen->node), "%s", notice->subject);
        (void)snprintf(seen->reason, sizeof(seen->reason), "%s", notice->detail);
    }
}

static void fallback_is_what_the_policy_says(void **state) {
    (void)state;
    heard seen = {0};
    fer_context *context = sim_context_with(NULL, 0, on_log, on_notice, &seen);
    fer_graph *graph = chain(context, 4, (const char *[]){"Relu", "Abs"}, 2);
    fer_program *program = NULL;
    fer_compile_options options = {.devices = "sim,ref", .fallback = FER_FALLBACK_ERROR};
    FAILS(FER_PLACEMENT, compile(context, graph, options, &program));
    SAYS("Abs");
    SAYS("n1");
    SAYS("ref:0");
    assert_null(program);
    assert_int_equal(seen.fallbacks, 0);
    options.fallback = FER_FALLBACK_ALLOW;
    OK(compile(context, graph, options, &program));
    fer_program_release(program);
    assert_true(seen.fallbacks == 0 && seen.warnings == 0);
    options.fallback = FER_FALLBACK_DEFAULT; /* warn */
    OK(compile(context, graph, options, &program));
    fer_program_release(program);
    assert_true(seen.fallbacks == 1 && seen.warnings == 1);
    assert_string_equal(seen.node, "n1");
    assert_non_null(strstr(seen.reason, "sim:0"));
    /* Where a pin puts it there is no fallback. */
    fer_pin pin = {"n1", "ref"};
    options = (fer_compile_options){
        .devices = "sim,ref", .fallback = FER_FALLBACK_ERROR, .pins = &pin, .pin_count = 1};
    OK(compile(context, graph, options, &program));
    placed(program, "n1", "ref:0", "Abs is not among");
    fer_program_release(program);
    fer_graph_release(graph);
    fer_context_release(context);
}

/* ---- pins and shares ---- */

static void pins_go_by_name(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_graph *graph = chain(context, 4, (const char *[]){"Relu", "Neg", "Relu", "Neg"}, 4);
    fer_program *program = NULL;
    fer_pin pins[] = {
        {"n1", "ref:0"},
        {"n*", "sim:2"}
    };
    fer_compile_options options = {.devices = "sim,sim:2,ref", .pins = pins, .pin_count = 2};
    OK(compile(context, graph, options, &program));
    placed(program, "n0", "sim:2", "sim:0: pinned elsewhere");
    placed(program, "n1", "ref:0", "pinned elsewhere");
    placed(program, "n3", "sim:2", "pinned elsewhere");
    OK(run_floats(program, context, NULL, (float[]){-1, 2, -3, 4}, 4, (float[]){0, 0, 0, 0}));
    fer_program_release(program);
    program = NULL;
    /* To a device that cannot, or is not in the list. */
    static const sim_config few = {.asks = 1};
    sim_configure(0, &few);
    fer_graph *other = chain(context, 4, (const char *[]){"Abs"}, 1);
    fer_pin wrong = {"n0", "sim"};
    options = (fer_compile_options){.devices = "ref,sim", .pins = &wrong, .pin_count = 1};
    FAILS(FER_PLACEMENT, compile(context, other, options, &program));
    SAYS("n0");
    SAYS("no unit for it");
    options.devices = "ref";
    assert_int_not_equal(compile(context, other, options, &program), FER_OK);
    SAYS("sim");
    /* Of a node that is not there; a prefix may match none. */
    wrong = (fer_pin){"n7", "ref"};
    FAILS(FER_INVALID_ARGUMENT, compile(context, other, options, &program));
    SAYS("n7");
    assert_null(program);
    wrong.node = "n7*";
    OK(compile(context, other, options, &program));
    fer_program_release(program);
    program = NULL;
    options = (fer_compile_options){.passes_off = (const char *[]){"merge_commons"},
                                    .passes_off_count = 1};
    FAILS(FER_INVALID_ARGUMENT, compile(context, other, options, &program));
    SAYS("merge_commons");
    fer_graph_release(other);
    fer_graph_release(graph);
    fer_context_release(context);
}

static void shares_are_required(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_graph *graph = chain(context, 4, (const char *[]){"Relu", "Neg", "Abs", "Relu"}, 4);
    fer_program *program = NULL;
    fer_share share = {"sim", 60};
    fer_compile_options options = {.devices = "sim,ref", .shares = &share, .share_count = 1};
    OK(compile(context, graph, options, &program));
    fer_program_release(program);
    program = NULL;
    share.percent = 95;
    FAILS(FER_PLACEMENT, compile(context, graph, options, &program));
    SAYS("95.0 % are required");
    assert_null(program);
    share = (fer_share){"sim:1", 1};
    FAILS(FER_PLACEMENT, compile(context, graph, options, &program));
    fer_graph_release(graph);
    fer_context_release(context);
}

static void simulated_devices_are_never_defaults(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_graph *graph = chain(context, 4, (const char *[]){"Relu"}, 1);
    fer_program *program = NULL;
    OK(compile_on(context, graph, NULL, &program));
    placed(program, "n0", "ref:0", "");
    fer_program_release(program);
    fer_graph_release(graph);
    fer_context_release(context);
}

/* Decided per specialisation, with a line each. */
static void every_size_has_its_lines(void **state) {
    (void)state;
    fer_context *context = sim_context();
    sim_configure(0, &(sim_config){.no_dynamic_dims = 1});
    fer_program *program =
        chain_program(context, -1, (const char *[]){"Relu", "Abs"}, 2, "sim,ref");
    OK(run_floats(program, context, NULL, (float[]){-1, 2}, 2, (float[]){0, 2}));
    OK(run_floats(program, context, NULL, (float[]){-1, 2, 3}, 3, (float[]){0, 2, 3}));
    assert_string_equal(line_of(program, "n0", 0).device, "sim:0");
    assert_string_equal(line_of(program, "n1", 0).device, "ref:0");
    fer_program_stats stats = {.struct_size = sizeof(stats)};
    OK(fer_program_get_stats(program, &stats));
    assert_int_equal(stats.specialization_count, 2);
    assert_int_equal(stats.compile_count, 4);
    fer_program_release(program);
    fer_context_release(context);
}

/* A region never makes a cycle of what it needs: ref's node lies between two of sim's. */
static void regions_are_convex(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_graph *graph = NULL;
    fer_value_id x = 0;
    OK(fer_graph_create(context, &graph));
    OK(fer_graph_add_input(graph, "x", FER_F32, 1, (int64_t[]){2}, NULL, &x));
    fer_value_id a = node_of(graph, "Neg", "a", x);
    fer_value_id b = node_of(graph, "Abs", "b", a);
    fer_value_id c = node_named(graph, "Add", "c", (fer_value_id[]){a, b}, 2, NULL, 0);
    fer_value_id d = node_of(graph, "Abs", "d", c);
    fer_value_id e = node_named(graph, "Mul", "e", (fer_value_id[]){c, d}, 2, NULL, 0);
    fer_value_id f = node_named(graph, "Sub", "f", (fer_value_id[]){e, a}, 2, NULL, 0);
    OK(fer_graph_add_output(graph, "f", f));
    OK(fer_graph_finish(graph));
    fer_program *program = NULL;
    OK(compile_on(context, graph, "sim,ref", &program));
    /* x=-1: a=1 b=1 c=2 d=2 e=4 f=3; x=2: a=-2 b=2 c=0 d=0 e=0 f=2 */
    for (int i = 0; i < 2; i++) {
        OK(run_floats(program, context, NULL, (float[]){-1, 2}, 2, (float[]){3, 2}));
    }
    assert_int_equal(sim_get_stats(0).compiles, 3);
    fer_program_release(program);
    fer_graph_release(graph);
    fer_context_release(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SIM_TEST(refusals_have_reasons),
        SIM_TEST(nobody_is_an_error_that_names_the_node),
        SIM_TEST(fallback_is_what_the_policy_says),
        SIM_TEST(pins_go_by_name),
        SIM_TEST(shares_are_required),
        SIM_TEST(simulated_devices_are_never_defaults),
        SIM_TEST(every_size_has_its_lines),
        SIM_TEST(regions_are_convex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
