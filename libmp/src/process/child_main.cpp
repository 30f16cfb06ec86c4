// SPDX-License-Identifier: BSL-1.0
// What a child does between its start and its own code: it settles in, and answers.
#include "process/child_main.hpp"

#include "mp/detail/bytes.hpp"
#include "mp/detail/child_body.hpp"
#include "mp/detail/code_ref.hpp"
#include "mp/errors.hpp"
#include "mp/start_method.hpp"

#include "data/spawning.hpp"
#include "os/failpoint.hpp"
#include "os/fork.hpp"
#include "os/signals.hpp"
#include "os/stream_text.hpp"
#include "process/child_link.hpp"
#include "process/child_place.hpp"
#include "process/preparation.hpp"
#include "process/resource_tracker_client.hpp"
#include "util/diagnostics.hpp"
#include "util/exit_function.hpp"
#include "util/parent_watch.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <utility>

namespace mp::detail {
namespace {

void settle_in(const Preparation& preparation) {
    os::close_standard_input();
    os::write_out_at_terminate();
    os::restore_signals();
    inherit_start_method(preparation.start_method);
    set_log_level(preparation.log_level);
    change_environment(preparation.environment);
    if (!preparation.directory.empty() && ::chdir(preparation.directory.c_str()) != 0) {
        log_warning("the parent's directory is gone: " + preparation.directory);
    }
    set_parent_watch_fd(take_over(preparation.parent_watch_fd));
    if (preparation.tracker_fd >= 0) {
        const auto index = static_cast<std::uint32_t>(preparation.tracker_fd);
        set_resource_tracker(take_over(index));
    }
    if (preparation.die_with_parent) {
        die_with_parent();
    }
    ensure_exit_step();
}

// Receives what this process is to be, becomes that and runs it; its exit code.
int receive_and_run(int socket) {
    StartMessage message;
    MP_FAILPOINT("child: before the message");
    try {
        message = receive_start(socket);
    } catch (const BinaryMismatch& mismatch) {
        send_answer(socket, mismatch.what());
        return 1;
    } catch (const EOFError&) {
        return 1;  // The parent is gone, or gave up.
    }
    MP_FAILPOINT("child: message received");
    // Not before: one that never begins may be killed while it looks, and what a
    // sanitizer has started for that would be left.
    look_for_leaks_at_end();
    set_received_fds(std::move(message.fds));
    set_received_secrets(std::move(message.secrets));
    ByteReader in(message.body);
    const auto body = reinterpret_cast<ChildBody>(const_cast<void*>(read_code_ref(in)));
    Preparation preparation = Preparation::read(in);
    settle_in(preparation);
    MP_FAILPOINT("child: before the answer");
    send_answer(socket, {});
    MP_FAILPOINT("child: answered");
    ::close(socket);
    return body(std::move(preparation), in);
}

}  // namespace

void run_child(UniqueFd socket) {
    ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC);
    int code = 1;
    try {
        code = receive_and_run(socket.release());
    } catch (const std::exception& error) {
        std::fprintf(stderr, "a child process could not begin: %s\n", error.what());
    }
    leave(code);
}

}  // namespace mp::detail
