// SPDX-License-Identifier: BSL-1.0
// Starts the fork server, asks it for children and keeps what it tells.
#include "process/forkserver_client.hpp"

#include "mp/detail/bytes.hpp"
#include "mp/detail/code_ref.hpp"
#include "mp/errors.hpp"
#include "mp/forkserver.hpp"

#include "data/ended_early.hpp"
#include "os/check.hpp"
#include "os/fd_passing.hpp"
#include "os/per_process.hpp"
#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "os/sanitized.hpp"
#include "os/socket.hpp"
#include "process/child_link.hpp"
#include "process/own_program.hpp"
#include "process/resource_tracker_client.hpp"
#include "util/diagnostics.hpp"
#include "util/exit_function.hpp"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <system_error>
#include <utility>
#include <vector>

namespace mp {
namespace detail {
namespace {

using namespace std::chrono_literals;

// How long a server may take to end, with the static objects of the program, before it
// is killed. LeakSanitizer looks through all memory then, and one that is killed
// meanwhile stays a zombie for as long as that holds it; ThreadSanitizer sleeps first.
constexpr auto server_grace = os::under_asan || os::under_tsan ? 60s : 5s;

// How long a killed one may take to go, on a busy machine.
constexpr auto killed_server_grace = 10s;

// How long a server that is replaced may take to hear of it.
constexpr auto retire_grace = 1s;

struct Registry {
    // The parent's server is not the child's: its socket is shared with the parent,
    // whose replies the child would steal. The copies of its descriptors are closed,
    // the server is not waited for.
    void take_over(std::unique_ptr<Registry> parents) MP_NO_THREAD_SAFETY_ANALYSIS {
        preload = parents->preload;
        // The Popens that were copied into this process keep them, too.
        if (parents->server) {
            parents->server->abandon();
        }
        for (const std::weak_ptr<ForkServer>& old : parents->retired) {
            if (const auto one = old.lock()) {
                one->abandon();
            }
        }
    }

    Mutex mutex;
    std::shared_ptr<ForkServer> server MP_GUARDED_BY(mutex);
    // Those that were replaced, as long as children of theirs live.
    std::vector<std::weak_ptr<ForkServer>> retired MP_GUARDED_BY(mutex);
    std::vector<void (*)()> preload MP_GUARDED_BY(mutex);
    bool at_exit MP_GUARDED_BY(mutex) = false;
};

Registry& registry() {
    return os::PerProcess<Registry, os::AtFork::takes_over>::get();
}

std::shared_ptr<ForkServer> start_server(
    const std::vector<void (*)()>& preload,
    os::Credentials credentials,
    const Deadline& deadline
) {
    ByteWriter body;
    for (void (*const function)() : preload) {
        write_code_ref(body, reinterpret_cast<const void*>(function));
    }
    auto [ours, servers] = os::make_socketpair(os::SocketKind::stream);
    os::name_senders(servers.get());
    const int socket = ours.get();
    auto server = std::make_shared<ForkServer>(std::move(ours), std::move(credentials));
    server->own(os::pidfd_of_new_child(start_own_program(server_argument, servers)));
    servers.reset();
    try {
        try {
            send_start(socket, body.data(), {}, {}, deadline);
        } catch (const TimeoutError&) {
            throw;
        } catch (const std::system_error& error) {
            if (!os::peer_is_gone(error)) {
                throw;
            }
            // It has ended; what it answered before, unasked, tells why.
        }
        receive_answer(socket, deadline);
    } catch (const BinaryMismatch& refusal) {
        server->stop();
        throw SpawnError(
            SpawnStage::forkserver,
            std::string("the fork server refuses: ") + refusal.what()
        );
    } catch (const TimeoutError&) {
        server->stop();
        throw SpawnError(SpawnStage::timeout, "the fork server did not begin in time");
    } catch (const std::exception& failure) {
        server->stop();
        const auto* const error = dynamic_cast<const std::system_error*>(&failure);
        if (error != nullptr && !os::peer_is_gone(*error)) {
            throw;
        }
        throw EndedEarly(
            SpawnStage::handshake,
            "the fork server ended before it said that it runs; does main() begin with "
            "mp::freeze_support(argc, argv)?",
            server->exitcode()
        );
    }
    return server;
}

// It is the caller's to let go, which ends a server without children.
std::shared_ptr<ForkServer> retire_server(Registry& all) MP_REQUIRES(all.mutex) {
    if (!all.server) {
        return nullptr;
    }
    std::erase_if(all.retired, [](const auto& old) { return old.expired(); });
    all.retired.push_back(all.server);
    all.server->retire();
    return std::exchange(all.server, nullptr);
}

void stop_fork_server() {
    std::vector<std::weak_ptr<ForkServer>> servers;
    // Keeps it until it is stopped.
    std::shared_ptr<ForkServer> last;
    {
        Registry& all = registry();
        const MutexLock held(all.mutex);
        last = std::exchange(all.server, nullptr);
        servers = std::exchange(all.retired, {});
    }
    if (last) {
        last->stop();
    }
    for (const auto& old : servers) {
        if (const auto server = old.lock()) {
            server->stop();
        }
    }
}

}  // namespace

ForkServer::ForkServer(UniqueFd socket, os::Credentials credentials) noexcept
    : credentials_(std::move(credentials)), socket_(std::move(socket)) {}

ForkServer::~ForkServer() {
    // In a forked child it is the parent's server.
    if (creator_.is_here()) {
        stop();
    }
}

std::shared_ptr<ForkServer> ForkServer::running(const Deadline& deadline) {
    Registry& all = registry();
    const MutexLock held(all.mutex);
    if (all.server && all.server->is_gone()) {
        all.server->stop();
        all.server.reset();
    }
    os::Credentials now = os::Credentials::now();
    if (all.server && all.server->credentials() != now) {
        log_info("this process has other credentials than its fork server: another one "
                 "takes its place");
        retire_server(all);
    }
    if (!all.server) {
        all.server = start_server(all.preload, std::move(now), deadline);
    }
    if (!all.at_exit) {
        add_exit_part(ExitPhase::helpers, stop_fork_server);
        all.at_exit = true;
    }
    return all.server;
}

bool ForkServer::is_gone() {
    return hung_up_ || os::pidfd_ended(pidfd_.get());
}

bool ForkServer::wait_for_end(const Deadline& deadline) const {
    // Without one, in a forked child: the server is its parent's.
    return !pidfd_ || os::wait_readable(pidfd_.get(), deadline);
}

void ForkServer::retire() noexcept {
    const MutexLock held(mutex_);
    // Under the lock: a start that is under way still gets its child.
    retired_ = true;
    ready_.reset();
    try {
        const ForkRequest request{.serial = ForkRequest::retire};
        os::send_packet(
            socket_.get(),
            std::as_bytes(std::span(&request, 1)),
            {},
            Deadline(retire_grace)
        );
    } catch (const std::exception&) {
        // It is gone, or has been stopped: then its children's ends are all it can do.
        hung_up_ = true;
    }
    // The server kills the child that was asked for ahead. Our end of its socket, which
    // may have arrived already, goes with it: whoever has that commands the child.
    read_what_there_is();
}

void ForkServer::read_what_there_is() noexcept {
    try {
        for (;;) {
            read_reply(Deadline(0s));
        }
    } catch (const std::exception&) {
        // That was all.
    }
}

void ForkServer::abandon() noexcept {
    socket_.reset();
    ready_.reset();
    pidfd_.reset();
}

ForkServer::Started ForkServer::fork_child(const Deadline& deadline) {
    const MutexLock held(mutex_);
    try {
        Started child = next_child(deadline);
        if (!asked_) {
            ask(deadline);  // for the next start, which finds the reply ready
        }
        return child;
    } catch (const TimeoutError&) {
        throw SpawnError(SpawnStage::timeout, "the fork server did not answer in time");
    } catch (const EOFError&) {
        hung_up_ = true;
        throw EndedEarly(
            SpawnStage::forkserver, "the fork server is gone", std::nullopt
        );
    } catch (const std::system_error& error) {
        hung_up_ = true;
        if (os::peer_is_gone(error)) {
            throw EndedEarly(
                SpawnStage::forkserver, "the fork server is gone", std::nullopt
            );
        }
        throw SpawnError(
            SpawnStage::forkserver,
            std::string("the fork server is gone: ") + error.what()
        );
    } catch (const std::bad_alloc&) {
        hung_up_ = true;  // what it said may be lost: another one begins anew
        throw;
    }
}

ForkServer::Started ForkServer::next_child(const Deadline& deadline) {
    bool asked_for_this = false;
    for (;;) {
        if (ready_) {
            Started child = *std::exchange(ready_, std::nullopt);
            if (!os::pidfd_ended(child.pidfd.get())) {
                return child;
            }
            ended_.erase(child.serial);
        }
        if (refusal_) {
            const std::string text = *std::exchange(refusal_, std::nullopt);
            // What made the server refuse an earlier request may be over.
            if (asked_for_this) {
                throw SpawnError(SpawnStage::forkserver, text);
            }
        }
        if (!asked_) {
            ask(deadline);
            asked_for_this = true;
        }
        read_reply(deadline);
    }
}

void ForkServer::ask(const Deadline& deadline) {
    const ForkRequest request{.serial = ++last_serial_};
    os::send_packet(socket_.get(), std::as_bytes(std::span(&request, 1)), {}, deadline);
    asked_ = true;
}

os::ExitStatus ForkServer::exit_status(std::uint64_t serial, const Deadline& deadline) {
    const MutexLock held(mutex_);
    for (;;) {
        if (const auto found = ended_.find(serial); found != ended_.end()) {
            const auto status = found->second;
            ended_.erase(found);
            return status;
        }
        try {
            read_reply(deadline);
        } catch (const TimeoutError&) {
            throw;
        } catch (...) {
            hung_up_ = true;  // what it said may be lost: another one begins anew
            throw;
        }
    }
}

void ForkServer::read_reply(const Deadline& deadline) {
    ForkReply reply;
    std::vector<UniqueFd> fds;
    const auto room = std::as_writable_bytes(std::span(&reply, 1));
    std::size_t filled = 0;
    bool lost = false;
    while (filled < room.size()) {
        auto part = os::receive_with_fds(
            socket_.get(), room.subspan(filled), 2, deadline, os::LostFds::are_told
        );
        lost = lost || part.lost;
        if (part.bytes == 0) {
            throw EOFError("the fork server closed its socket");
        }
        filled += part.bytes;
        std::move(part.fds.begin(), part.fds.end(), std::back_inserter(fds));
    }
    switch (reply.kind) {
    case ForkReplyKind::started:
        asked_ = false;
        if (lost) {
            // Without its descriptors the child hears of its end, and ends.
            refusal_ = std::make_error_code(std::errc::too_many_files_open).message();
            break;
        }
        if (fds.size() != 2) {
            throw std::system_error(
                std::make_error_code(std::errc::bad_message),
                "the fork server's child came without its descriptors"
            );
        }
        if (!retired_) {  // else it ends, with the last end of its socket
            ready_ = {reply.serial, reply.value, std::move(fds[0]), std::move(fds[1])};
        }
        break;
    case ForkReplyKind::refused:
        asked_ = false;
        refusal_ = read_text(reply.value, deadline);
        break;
    case ForkReplyKind::ended:
        ended_[reply.serial] = {
            .code = reply.value,
            .dumped_core = reply.dumped_core != 0,
            .peak_memory_bytes = reply.peak_memory_bytes,
            .cpu_time = std::chrono::microseconds(reply.cpu_microseconds)};
        break;
    }
}

std::string ForkServer::read_text(std::int32_t size, const Deadline& deadline) {
    constexpr std::int32_t longest = 1 << 16;
    if (size < 0 || size > longest) {
        throw std::system_error(
            std::make_error_code(std::errc::bad_message),
            "the fork server's refusal makes no sense"
        );
    }
    std::string text(static_cast<std::size_t>(size), '\0');
    os::receive_exactly(
        socket_.get(), std::as_writable_bytes(std::span(text)), deadline
    );
    return text;
}

void ForkServer::stop() noexcept {
    if (!pidfd_) {
        return;  // there never was one
    }
    try {
        const MutexLock held(mutex_);
        if (!socket_) {
            return;  // it was stopped before
        }
        read_what_there_is();  // statuses that are on their way
        socket_.reset();
        // Its child that was asked for ahead is the server's to end and to reap.
        ready_.reset();
        if (!os::wait_readable(pidfd_.get(), Deadline(server_grace))) {
            os::pidfd_send_signal(pidfd_.get(), SIGKILL);
            os::wait_readable(pidfd_.get(), Deadline(killed_server_grace));
        }
        exitcode_ = os::pidfd_collect(pidfd_.get());
    } catch (const std::exception&) {
        // It cannot be waited for; it ends by itself.
    }
}

}  // namespace detail

void set_forkserver_preload(std::vector<void (*)()> functions) {
    detail::Registry& all = detail::registry();
    const detail::MutexLock held(all.mutex);
    all.preload = std::move(functions);
}

void forkserver_refresh() {
    // Let go when the lock is: a server without children is waited for.
    std::shared_ptr<detail::ForkServer> old;
    detail::Registry& all = detail::registry();
    const detail::MutexLock held(all.mutex);
    old = detail::retire_server(all);
}

void stop_helpers() {
    detail::stop_fork_server();
    detail::stop_resource_tracker();
}

}  // namespace mp
