// SPDX-License-Identifier: BSL-1.0
// ParentProcess: what a child sees of the process that started it.
#include "mp/context.hpp"
#include "mp/parent_process.hpp"

#include "support/catch.hpp"
#include "support/exit_code.hpp"
#include "support/start_methods.hpp"

#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <utility>

using namespace std::chrono_literals;
using test::exit_code_of;

namespace {

bool is_readable(int fd) {
    pollfd poller{fd, POLLIN, 0};
    return ::poll(&poller, 1, 0) == 1;
}

// The status says which of these does not hold of a parent that lives.
void look_at_parent(pid_t pid) {
    const auto parent = mp::parent_process();
    if (!parent || parent->pid() != pid || parent->ident() != pid) {
        throw mp::SystemExit(1);
    }
    if (!parent->is_alive() || parent->join(0s) || parent->join(10ms)) {
        throw mp::SystemExit(2);
    }
    if (parent->sentinel() < 0 || is_readable(parent->sentinel())) {
        throw mp::SystemExit(3);
    }
}

void send_parents_name(mp::Connection out) {
    out.send(mp::parent_process()->name());
}

void start_one(mp::StartMethod method, mp::Connection out) {
    mp::Process inner = mp::get_context(method).Process(send_parents_name, out);
    inner.start();
    inner.join();
}

}  // namespace

TEST_CASE("parent_process: the first process has none", "[process]") {
    CHECK_FALSE(mp::parent_process());
}

TEST_CASE("ParentProcess: is a value", "[process]") {
    const mp::ParentProcess parent(7, "somebody");
    const mp::ParentProcess copy = parent;
    CHECK(copy.pid() == 7);
    CHECK(copy.ident() == 7);
    CHECK(copy.name() == "somebody");
}

TEST_CASE("parent_process: lives while it does, seen from any child", "[process]") {
    const mp::Context ctx = each_start_method();
    CHECK(exit_code_of(ctx.Process(look_at_parent, ::getpid())) == 0);
}

TEST_CASE("parent_process: has the name that it has itself", "[process]") {
    const mp::Context ctx = each_start_method();
    auto [reader, writer] = mp::Pipe(mp::Duplex::no);
    CHECK(exit_code_of(ctx.Process(send_parents_name, writer)) == 0);
    CHECK(reader.recv<std::string>() == "MainProcess");
    mp::Process middle =
        ctx.Process({.name = "middle"}, start_one, ctx.get_start_method(), writer);
    CHECK(exit_code_of(std::move(middle)) == 0);
    CHECK(reader.recv<std::string>() == "middle");
}
