#include "trace/ctf_graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "trace/sandbox.h"

struct graph {
  const struct tt_trace_folders *folders;
  bt_graph *graph;
  struct tt_ctf_port *ports; /* [n_all] first all of them, then this share's [n] */
  size_t n_all, capacity, n;
  bool (*run)(void *user, struct tt_ctf_port *ports, size_t n, size_t n_all);
  void *user;
  struct tt_ctf_error *error;
};

bool tt_ctf_fail(struct tt_ctf_error *error, enum tt_status status, const char *format, ...) {
  if (error->status == TT_OK) {
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    error->status = status;
  }
  return false;
}

/* Takes out what means nothing to a reader: "name-addr=0x55d0, " and control characters. */
static void clean(char *text) {
  for (char *p = text; *p; p++)
    if ((unsigned char)*p < ' ')
      *p = ' ';
  char *found;
  while ((found = strstr(text, "-addr=0x"))) {
    char *begin = found, *end = found + strlen("-addr=0x");
    while (begin > text && begin[-1] != ' ')
      begin--;
    end += strspn(end, "0123456789abcdef");
    if (end[0] == ',' && end[1] == ' ')
      end += 2;
    memmove(begin, end, strlen(end) + 1);
  }
  size_t n = strlen(text);
  while (n > 0 && strchr(" ,:.", text[n - 1]))
    text[--n] = '\0';
}

/* The first absolute path that stands in quotes in a message. */
static bool quoted_path(const char *message, char *path, size_t size) {
  for (const char *p = message; *p; p++)
    if ((*p == '`' || *p == '\'') && p[1] == '/') {
      size_t n = strcspn(p + 1, "`'");
      if (n >= size)
        return false;
      memcpy(path, p + 1, n);
      path[n] = '\0';
      return true;
    }
  return false;
}

bool tt_ctf_fail_library(struct tt_ctf_error *error, const char *where) {
  char text[sizeof error->text] = "libbabeltrace2 gives no reason", path[sizeof error->text] = "";
  const bt_error *library = bt_current_thread_take_error();
  for (uint64_t i = 0; library && i < bt_error_get_cause_count(library); i++) {
    const char *message = bt_error_cause_get_message(bt_error_borrow_cause_by_index(library, i));
    if (i == 0)
      snprintf(text, sizeof text, "%s", message);
    if (!path[0] && quoted_path(message, path, sizeof path))
      where = path;
  }
  if (library)
    bt_error_release(library);
  clean(text);
  if (strstr(text, where)) /* said already */
    where = "";
  return tt_ctf_fail(error, TT_BAD_INPUT, "%s%s%s", where, where[0] ? ": " : "", text);
}

/* ---- the sink ---- */

static struct graph *graph_of(bt_self_component_sink *self) {
  return bt_self_component_get_data(bt_self_component_sink_as_self_component(self));
}

static bt_component_class_initialize_method_status
initialize(bt_self_component_sink *self, bt_self_component_sink_configuration *configuration,
           const bt_value *parameters, void *data) {
  (void)configuration;
  (void)parameters;
  struct graph *g = data;
  bt_self_component_set_data(bt_self_component_sink_as_self_component(self), g);
  for (size_t i = 0; i < g->n; i++) {
    char name[24];
    snprintf(name, sizeof name, "in%zu", i);
    if (bt_self_component_sink_add_input_port(self, name, NULL, NULL) !=
        BT_SELF_COMPONENT_ADD_PORT_STATUS_OK)
      return BT_COMPONENT_CLASS_INITIALIZE_METHOD_STATUS_MEMORY_ERROR;
  }
  return BT_COMPONENT_CLASS_INITIALIZE_METHOD_STATUS_OK;
}

static bt_component_class_sink_graph_is_configured_method_status
configured(bt_self_component_sink *self) {
  struct graph *g = graph_of(self);
  for (size_t i = 0; i < g->n; i++)
    if (bt_message_iterator_create_from_sink_component(
            self, bt_self_component_sink_borrow_input_port_by_index(self, i),
            &g->ports[i].iterator) != BT_MESSAGE_ITERATOR_CREATE_FROM_SINK_COMPONENT_STATUS_OK)
      return BT_COMPONENT_CLASS_SINK_GRAPH_IS_CONFIGURED_METHOD_STATUS_ERROR;
  return BT_COMPONENT_CLASS_SINK_GRAPH_IS_CONFIGURED_METHOD_STATUS_OK;
}

/* All the work happens in one call. */
static bt_component_class_sink_consume_method_status consume(bt_self_component_sink *self) {
  struct graph *g = graph_of(self);
  return g->run(g->user, g->ports, g->n, g->n_all)
             ? BT_COMPONENT_CLASS_SINK_CONSUME_METHOD_STATUS_END
             : BT_COMPONENT_CLASS_SINK_CONSUME_METHOD_STATUS_ERROR;
}

/* ---- sources, ports, connections ---- */

static bool same_trace(const struct tt_trace_folder *a, const struct tt_trace_folder *b) {
  return a->uuid[0] && strcmp(a->uuid, b->uuid) == 0;
}

static bt_graph_add_component_status make_source(struct graph *g,
                                                 const bt_component_class_source *class,
                                                 size_t first, bt_logging_level level,
                                                 const bt_component_source **ret) {
  const struct tt_trace_folder *items = g->folders->items;
  bt_graph_add_component_status status = BT_GRAPH_ADD_COMPONENT_STATUS_MEMORY_ERROR;
  bt_value *parameters = bt_value_map_create(), *inputs = NULL;
  bool good = parameters && bt_value_map_insert_empty_array_entry(parameters, "inputs", &inputs) ==
                                BT_VALUE_MAP_INSERT_ENTRY_STATUS_OK;
  for (size_t i = first; good && i < g->folders->n; i++)
    if (i == first || same_trace(&items[first], &items[i]))
      good = bt_value_array_append_string_element(inputs, items[i].path) ==
             BT_VALUE_ARRAY_APPEND_ELEMENT_STATUS_OK;
  char name[32];
  snprintf(name, sizeof name, "source%zu", first);
  if (good)
    status = bt_graph_add_source_component(g->graph, class, name, parameters, level, ret);
  bt_value_put_ref(parameters);
  return status;
}

/* True when the current error's deepest cause is no more than that a trace can't be made: the
 * stream files have causes of their own. The error stays. */
static bool metadata_to_blame(void) {
  const bt_error *error = bt_current_thread_take_error();
  if (!error)
    return false;
  bool blame = bt_error_get_cause_count(error) > 0 &&
               strncmp(bt_error_cause_get_message(bt_error_borrow_cause_by_index(error, 0)),
                       "Cannot create trace", strlen("Cannot create trace")) == 0;
  bt_current_thread_move_error(error);
  return blame;
}

/* What is wrong with a trace's metadata: libbabeltrace2 says that in its log only. Makes the
 * source once more with the log on, and takes the log's first message. */
static bool fail_metadata(struct graph *g, const bt_component_class_source *class, size_t first) {
  const bt_error *error = bt_current_thread_take_error();
  if (error)
    bt_error_release(error);
  char log[1024] = "";
  int file = memfd_create("log", MFD_CLOEXEC), old = dup(STDERR_FILENO);
  bt_graph_put_ref(g->graph);
  g->graph = bt_graph_create(0); /* a graph that has failed takes no more components */
  if (g->graph && file >= 0 && old >= 0 && dup2(file, STDERR_FILENO) >= 0) {
    const bt_component_source *source;
    (void)make_source(g, class, first, BT_LOGGING_LEVEL_ERROR, &source);
    fflush(stderr);
    dup2(old, STDERR_FILENO);
    ssize_t n = pread(file, log, sizeof log - 1, 0);
    log[n > 0 ? n : 0] = '\0';
  }
  log[strcspn(log, "\n")] = '\0';
  /* "DATE TIME PID TID E TAG function@file:line [component] message" */
  char *message = strchr(log, '@');
  message = message ? strchr(message, ' ') : NULL;
  message = message ? message + 1 : log;
  char *component = message[0] == '[' ? strstr(message, "] ") : NULL;
  message = component ? component + 2 : message;
  char *version = strstr(message, ": version="); /* of no version: whatever was in memory */
  if (version)
    *version = '\0';
  clean(message);
  return tt_ctf_fail(g->error, TT_BAD_INPUT, "%s/metadata: %s", g->folders->items[first].path,
                     message[0] && !strstr(message, "Cannot create trace")
                         ? message
                         : "no CTF metadata, or damaged");
}

/* One source for the folders of one trace: `first` and those after it that share its UUID. */
static bool add_source(struct graph *g, const bt_component_class_source *class, size_t first) {
  const struct tt_trace_folder *items = g->folders->items;
  tt_sandbox_note(items[first].path);
  const bt_component_source *source;
  if (make_source(g, class, first, BT_LOGGING_LEVEL_NONE, &source) !=
      BT_GRAPH_ADD_COMPONENT_STATUS_OK) {
    if (metadata_to_blame())
      return fail_metadata(g, class, first);
    return tt_ctf_fail_library(g->error, items[first].path);
  }
  for (uint64_t i = 0; i < bt_component_source_get_output_port_count(source); i++) {
    if (tt_grow(&g->ports, &g->capacity, g->n_all + 1, sizeof *g->ports) != 0)
      return tt_ctf_fail(g->error, TT_NO_MEMORY, "out of memory");
    const bt_port_output *output = bt_component_source_borrow_output_port_by_index_const(source, i);
    g->ports[g->n_all++] = (struct tt_ctf_port){
        .name = bt_port_get_name(bt_port_output_as_port_const(output)), .output = output};
  }
  return true;
}

static bool add_sources(struct graph *g) {
  const bt_plugin *plugin = NULL;
  const bt_component_class_source *class = NULL;
  if (bt_plugin_find("ctf", BT_TRUE, BT_TRUE, BT_TRUE, BT_TRUE, BT_FALSE, &plugin) !=
          BT_PLUGIN_FIND_STATUS_OK ||
      !(class = bt_plugin_borrow_source_component_class_by_name_const(plugin, "fs")))
    return tt_ctf_fail(g->error, TT_FAILED, "libbabeltrace2's CTF plugin is not installed");
  for (size_t i = 0; i < g->folders->n; i++) {
    bool done = false;
    for (size_t j = 0; j < i; j++)
      done |= same_trace(&g->folders->items[j], &g->folders->items[i]);
    if (!done && !add_source(g, class, i))
      return false;
  }
  return true;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct tt_ctf_port *)a)->name, ((const struct tt_ctf_port *)b)->name);
}

static bool connect(struct graph *g) {
  bt_component_class_sink *class = bt_component_class_sink_create("tracetwin", consume);
  const bt_component_sink *sink;
  if (!class ||
      bt_component_class_sink_set_initialize_method(class, initialize) !=
          BT_COMPONENT_CLASS_SET_METHOD_STATUS_OK ||
      bt_component_class_sink_set_graph_is_configured_method(class, configured) !=
          BT_COMPONENT_CLASS_SET_METHOD_STATUS_OK ||
      bt_graph_add_sink_component_with_initialize_method_data(g->graph, class, "sink", NULL, g,
                                                              BT_LOGGING_LEVEL_NONE, &sink) !=
          BT_GRAPH_ADD_COMPONENT_STATUS_OK)
    return tt_ctf_fail_library(g->error, "");
  for (size_t i = 0; i < g->n; i++)
    if (bt_graph_connect_ports(g->graph, g->ports[i].output,
                               bt_component_sink_borrow_input_port_by_index_const(sink, i),
                               NULL) != BT_GRAPH_CONNECT_PORTS_STATUS_OK)
      return tt_ctf_fail_library(g->error, "");
  return true;
}

bool tt_ctf_graph_run(const struct tt_trace_folders *folders, size_t part, size_t parts,
                      bool (*run)(void *user, struct tt_ctf_port *ports, size_t n, size_t n_all),
                      void *user, struct tt_ctf_error *error) {
  /* Without this bt_plugin_find loads a Python interpreter to look for Python plugins. */
  setenv("LIBBABELTRACE2_DISABLE_PYTHON_PLUGINS", "1", 1);
  /* For fail_metadata(); until then it goes to /dev/null. */
  setenv("BABELTRACE_PLUGIN_CTF_METADATA_LOG_LEVEL", "E", 1);
  struct graph g = {
      .folders = folders, .graph = bt_graph_create(0), .run = run, .user = user, .error = error};
  if (!g.graph)
    return tt_ctf_fail_library(error, "");
  if (!add_sources(&g))
    return false;
  if (g.n_all > 1)
    qsort(g.ports, g.n_all, sizeof *g.ports, by_name);
  for (size_t i = part; i < g.n_all; i += parts)
    g.ports[g.n++] = g.ports[i];
  if (g.n == 0)
    return run(user, NULL, 0, g.n_all);
  if (!connect(&g))
    return false;
  bt_graph_run_status status;
  do
    status = bt_graph_run(g.graph);
  while (status == BT_GRAPH_RUN_STATUS_AGAIN);
  /* What the sink failed with is in *error already. */
  return status == BT_GRAPH_RUN_STATUS_OK || tt_ctf_fail_library(error, folders->items[0].path);
}
