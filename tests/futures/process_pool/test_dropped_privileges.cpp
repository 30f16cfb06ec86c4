// SPDX-License-Identifier: BSL-1.0
// A server that begins as root and becomes another user: before it uses the library, or
// after. What starts then is that user; what runs already keeps its promises.
// AddressSanitizer looks for leaks by tracing, which the kernel refuses to a process
// that has dropped its privileges.
#include "futures/process_pool.hpp"
#include "mp/forkserver.hpp"
#include "mp/listener.hpp"
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/gone.hpp"
#include "support/shm_names.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <grp.h>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

constexpr uid_t nobody = 65534;

bool drop() {
    return ::setgroups(0, nullptr) == 0 && ::setgid(nobody) == 0 &&
           ::setuid(nobody) == 0;
}

int user() {
    return static_cast<int>(::geteuid());
}

void send_user(mp::Connection out) {
    out.send(user());
}

void do_nothing() {}

void wait_for_ever() {
    for (;;) {
        ::pause();
    }
}

/// Lives until it is told, and ends with 7.
void exit_with_seven(mp::Connection in) {
    in.recv<int>();
    throw mp::SystemExit(7);
}

int user_of_child(const mp::Context& context) {
    auto [reader, writer] = mp::Pipe(mp::Duplex::no);
    mp::Process child = context.Process(send_user, writer);
    child.start();
    const int got = reader.recv<int>();
    child.join(30s);
    return child.exitcode() == 0 ? got : -1;
}

int end_of(mp::Process process) {
    process.start();
    process.join(30s);
    return process.exitcode().value_or(-999);
}

template <class Pool>
bool limit_holds(Pool& pool) {
    auto late = pool.submit({.timeout = 100ms}, wait_for_ever);
    try {
        late.result(60s);
    } catch (const futures::TaskTimeout&) {
        return true;
    } catch (const std::exception&) {
    }
    return false;
}

/// What a program does that has the rights of `nobody`: 0, or what went wrong.
int what_starts_now(const mp::Context& context) {
    if (user_of_child(context) != static_cast<int>(nobody)) {
        return 1;
    }
    if (end_of(context.Process({.die_with_parent = true}, do_nothing)) != 0) {
        return 2;
    }
    mp::Process ended = context.Process(wait_for_ever);
    ended.start();
    ended.terminate();
    if (!ended.join(30s) || ended.exitcode() != -SIGTERM) {
        return 3;
    }
    futures::ProcessPoolExecutor pool({.max_workers = 1, .mp_context = context});
    if (pool.submit(user).result(60s) != static_cast<int>(nobody)) {
        return 4;
    }
    futures::ProcessPoolExecutor limited(
        {.max_workers = 1,
         .mp_context = context,
         .on_worker_loss = futures::OnWorkerLoss::isolate}
    );
    if (!limit_holds(limited)) {
        return 5;
    }
    mp::SharedMemory memory({.create = true, .size = 4096});
    memory.unlink();
    mp::connection::Listener listener(
        {.family = mp::connection::Family::unix_socket, .authkey = "k"}
    );
    std::thread server([&] { listener.accept(30s).send(1); });
    const int heard = mp::connection::Client({.address = listener.address(),
                                              .authkey = "k",
                                              .timeout = 30s})
                          .recv<int>();
    server.join();
    return heard == 1 ? 0 : 6;
}

bool may_not(const mp::Process& process) {
    try {
        process.handle().kill();
    } catch (const std::system_error& error) {
        return error.code() == std::errc::operation_not_permitted;
    }
    return false;
}

/// What began as root, in the hands of a process that is it no longer.
class OldThings {
public:
    explicit OldThings(const mp::Context& context)
        : pool_(futures::ProcessPoolOptions{
              .max_workers = 1,
              .mp_context = context,
              .on_worker_loss = futures::OnWorkerLoss::isolate}),
          bound_(context.Process({.die_with_parent = true}, wait_for_ever)) {
        pool_->submit(do_nothing).result();
        bound_.start();
        auto [reader, writer] = mp::Pipe(mp::Duplex::no);
        gate_.emplace(writer);
        free_.emplace(context.Process(exit_with_seven, reader));
        free_->start();
        reader.close();
        memory_.emplace(mp::SharedMemoryOptions{.create = true, .size = 4096});
    }

    int check() {
        if (pool_->submit(user).result(60s) != 0) {
            return 20;  // it is the worker that it was
        }
        memory_->unlink();
        if (test::has_name(memory_->name())) {
            return 21;
        }
        // Its lifeline asks for no permission.
        bound_.kill();
        if (!bound_.join(30s) || bound_.exitcode() != -SIGKILL) {
            return 22;
        }
        // Where there is none it is said, and nothing waits for what cannot come.
        if (!may_not(*free_)) {
            return 23;
        }
        gate_->send(1);
        // The fork server that made it has been replaced, and tells all the same.
        if (!free_->join(30s) || free_->exitcode() != 7) {
            return 24;
        }
        if (!limit_holds(*pool_)) {
            return 25;
        }
        // Its successor is nobody's.
        if (pool_->submit(user).result(60s) != static_cast<int>(nobody)) {
            return 26;
        }
        return 0;
    }

private:
    std::optional<futures::ProcessPoolExecutor> pool_;
    mp::Process bound_;
    std::optional<mp::Connection> gate_;
    std::optional<mp::Process> free_;
    std::optional<mp::SharedMemory> memory_;
};

/// Of a program of its own that root starts.
template <class Body>
void check_as_root(Body body) {
    if (::geteuid() != 0) {
        WARN("not checked: only root can become another user");
        return;
    }
    CHECK(test::run_in_fork_for(120s, [&] {
              const int wrong = body();
              mp::stop_helpers();
              return wrong;
          }) == 0);
}

}  // namespace

// [no-tsan]: threads after a fork of a process with threads.
TEST_CASE(
    "Dropped privileges: before the first use", "[process_pool][no-tsan][no-asan][slow]"
) {
    const mp::Context context = each_pool_start_method();
    check_as_root([&] { return drop() ? what_starts_now(context) : 99; });
}

TEST_CASE(
    "Dropped privileges: after the first use what starts is the present user's",
    "[process_pool][no-tsan][no-asan][slow]"
) {
    const mp::Context context = each_pool_start_method();
    check_as_root([&] {
        if (user_of_child(context) != 0) {
            return 98;
        }
        return drop() ? what_starts_now(context) : 99;
    });
}

TEST_CASE(
    "Dropped privileges: what began before keeps its promises",
    "[process_pool][no-tsan][no-asan][slow]"
) {
    const mp::Context context = each_pool_start_method();
    check_as_root([&] {
        OldThings old(context);
        if (!drop()) {
            return 99;
        }
        const int wrong = what_starts_now(context);
        return wrong != 0 ? wrong : old.check();
    });
}

TEST_CASE(
    "Dropped privileges: workers that run for ever are killed with their pool",
    "[process_pool][no-tsan][no-asan][slow]"
) {
    const mp::Context context = each_pool_start_method();
    check_as_root([&] {
        std::vector<pid_t> workers;
        {
            futures::ProcessPoolExecutor pool({.max_workers = 2, .mp_context = context}
            );
            pool.submit(do_nothing).result();
            workers = pool.workers();
            if (!drop()) {
                return 99;
            }
            auto endless = pool.submit(wait_for_ever);
            pool.kill_workers();
        }
        return test::gone_within(workers, 1s) ? 0 : 1;
    });
}

TEST_CASE(
    "Dropped privileges: an effective user that changes to and fro",
    "[process_pool][no-tsan][no-asan][slow]"
) {
    const mp::Context context = each_pool_start_method();
    check_as_root([&] {
        for (const uid_t now : {uid_t{0}, nobody, uid_t{0}, nobody}) {
            if (::seteuid(now) != 0) {
                return 99;
            }
            if (user_of_child(context) != static_cast<int>(now)) {
                return 1;
            }
        }
        return ::seteuid(0);
    });
}
