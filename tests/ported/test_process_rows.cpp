// SPDX-License-Identifier: BSL-1.0
// The life of a Process, by the rows of the conformance table.
#include "futures/process_pool.hpp"
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/start_methods.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <dirent.h>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

using namespace std::chrono_literals;

namespace {

void do_nothing() {}

[[noreturn]] void block_until_killed() {
    for (;;) {
        ::pause();
    }
}

bool is_listed(const mp::Process& process) {
    const auto children = mp::active_children();
    return std::any_of(
        children.begin(),
        children.end(),
        [&](const mp::ProcessHandle& child) { return child.pid() == process.pid(); }
    );
}

int open_fds() {
    int count = 0;
    DIR* directory = ::opendir("/proc/self/fd");
    while (::readdir(directory) != nullptr) {
        ++count;
    }
    ::closedir(directory);
    return count;
}

}  // namespace

TEST_CASE("_TestProcess.test_current: the main process knows itself", "[process]") {
    mp::BaseProcess& current = mp::current_process();
    CHECK(current.is_alive());
    CHECK_FALSE(current.daemon());
    CHECK(current.authkey().size() > 0);
    CHECK(current.ident() == ::getpid());
    CHECK_FALSE(current.exitcode());
    CHECK(current.name() == "MainProcess");
}

TEST_CASE(
    "_TestProcess.test_set_executable: a path in any spelling starts children",
    "[process]"
) {
    const auto method = GENERATE(mp::StartMethod::spawn, mp::StartMethod::forkserver);
    const std::string own = std::filesystem::read_symlink("/proc/self/exe");
    const std::array<std::filesystem::path, 2> spellings{
        std::filesystem::path(own), std::filesystem::path(std::string_view(own))};
    for (const auto& spelling : spellings) {
        mp::stop_helpers();
        mp::set_executable(spelling);
        mp::Process p({.start_method = method});
        p.start();
        CHECK(p.join(20s));
        CHECK(p.exitcode() == 0);
    }
    mp::set_executable("");
}

TEST_CASE(
    "_TestProcess.test_args_argument: each kind of argument arrives", "[process]"
) {
    const mp::Context ctx = each_start_method();
    auto [ours, childs] = mp::Pipe();
    mp::Process p = ctx.Process(
        [](mp::Connection out,
           int number,
           std::string text,
           std::vector<int> list,
           std::tuple<int, std::string> tuple) {
            out.send(number);
            out.send(text);
            out.send(list);
            out.send(std::get<1>(tuple));
        },
        childs,
        1,
        "text",
        std::vector<int>{1, 2, 3},
        std::tuple<int, std::string>{4, "five"}
    );
    p.start();
    CHECK(ours.recv<int>() == 1);
    CHECK(ours.recv<std::string>() == "text");
    CHECK(ours.recv<std::vector<int>>() == std::vector<int>{1, 2, 3});
    CHECK(ours.recv<std::string>() == "five");
    CHECK(p.join(20s));
    CHECK(p.exitcode() == 0);
}

TEST_CASE("_TestProcess.test_daemon_argument: inherited unless given", "[process]") {
    CHECK(mp::Process(do_nothing).daemon() == mp::current_process().daemon());
    CHECK(mp::Process({.daemon = true}, do_nothing).daemon());
    CHECK_FALSE(mp::Process({.daemon = false}, do_nothing).daemon());
}

TEST_CASE(
    "_TestProcess.test_parent_process_attributes: pid and name of the creator",
    "[process]"
) {
    const mp::Context ctx = each_start_method();
    CHECK_FALSE(mp::parent_process());
    auto [reader, writer] = mp::Pipe({.duplex = false});
    mp::Process p = ctx.Process(
        [](mp::Connection out) {
            const auto parent = mp::parent_process();
            out.send(static_cast<int>(parent->pid()));
            out.send(parent->name());
        },
        writer
    );
    p.start();
    CHECK(reader.recv<int>() == ::getpid());
    CHECK(reader.recv<std::string>() == mp::current_process().name());
    CHECK(p.join(20s));
}

namespace {

void watch_parent(mp::Connection out) {
    const auto parent = mp::parent_process();
    out.send(parent->is_alive());
    out.send(parent->join(20s));
    out.send(parent->is_alive());
}

void start_a_watcher(mp::StartMethod method, mp::Connection out) {
    mp::Process watcher = mp::get_context(method).Process(watch_parent, out);
    watcher.start();
    block_until_killed();
}

}  // namespace

TEST_CASE(
    "_TestProcess.test_parent_process: a grandchild notices its parent's end",
    "[process]"
) {
    const mp::Context ctx = each_start_method();
    auto [reader, writer] = mp::Pipe({.duplex = false});
    mp::Process middle = ctx.Process(start_a_watcher, ctx.get_start_method(), writer);
    middle.start();
    writer.close();
    REQUIRE(reader.poll(20s));
    CHECK(reader.recv<bool>());
    middle.terminate();
    CHECK(middle.join(20s));
    REQUIRE(reader.poll(20s));
    CHECK(reader.recv<bool>());
    CHECK_FALSE(reader.recv<bool>());
    CHECK_THROWS_AS(reader.recv<bool>(), mp::EOFError);
}

TEST_CASE("_TestProcess.test_process: the life of a named daemon", "[process]") {
    const mp::Context ctx = each_start_method();
    auto [reader, writer] = mp::Pipe({.duplex = false});
    mp::Process p = ctx.Process(
        {.name = "a name", .daemon = true},
        [](mp::Connection out, int number) {
            mp::BaseProcess& self = mp::current_process();
            out.send(number);
            out.send(self.name());
            out.send(static_cast<int>(self.pid()));
            const auto key = self.authkey().bytes();
            out.send_bytes(key);
        },
        writer,
        5
    );
    CHECK(p.authkey() == mp::current_process().authkey());
    CHECK_FALSE(p.is_alive());
    CHECK(p.daemon());
    CHECK_FALSE(p.exitcode());
    CHECK_FALSE(is_listed(p));
    p.start();
    CHECK(reader.recv<int>() == 5);
    CHECK(reader.recv<std::string>() == "a name");
    CHECK(reader.recv<int>() == p.pid());
    const auto key = reader.recv_bytes();
    const auto own = mp::current_process().authkey().bytes();
    CHECK(std::equal(key.begin(), key.end(), own.begin(), own.end()));
    CHECK(p.join(20s));
    CHECK(p.exitcode() == 0);
    CHECK_FALSE(p.is_alive());
    CHECK_FALSE(is_listed(p));
}

TEST_CASE(
    "_TestProcess.test_process_mainthread_native_id: the child's thread is another",
    "[process]"
) {
    const mp::Context ctx = each_start_method();
    auto [reader, writer] = mp::Pipe({.duplex = false});
    mp::Process p = ctx.Process(
        [](mp::Connection out) { out.send(static_cast<int>(::gettid())); }, writer
    );
    p.start();
    const int thread = reader.recv<int>();
    CHECK(thread != ::gettid());
    CHECK(thread == p.pid());
    CHECK(p.join(20s));
}

TEST_CASE(
    "_TestProcess.test_interrupt: SIGINT ends a child that does not handle it",
    "[process]"
) {
    // Python's child turns it into KeyboardInterrupt and exit code 1; C++ has no
    // handler of its own, so the default action ends the child.
    const mp::Context ctx = each_start_method();
    mp::Process p = ctx.Process(block_until_killed);
    p.start();
    p.interrupt();
    CHECK(p.join(20s));
    CHECK(p.exitcode() == -SIGINT);
}

TEST_CASE(
    "_TestProcess.test_interrupt_no_handler: the default action of SIGINT", "[process]"
) {
    const mp::Context ctx = each_start_method();
    auto [reader, writer] = mp::Pipe({.duplex = false});
    mp::Process p = ctx.Process(
        [](mp::Connection out) {
            ::signal(SIGINT, SIG_DFL);
            out.send(1);
            block_until_killed();
        },
        writer
    );
    p.start();
    CHECK(reader.recv<int>() == 1);
    p.interrupt();
    CHECK(p.join(20s));
    CHECK(p.exitcode() == -SIGINT);
}

namespace {

void check_ending(const mp::Context& ctx, void (mp::BaseProcess::*end)(), int signal) {
    mp::Process p = ctx.Process({.daemon = true}, block_until_killed);
    p.start();
    CHECK(p.is_alive());
    CHECK(is_listed(p));
    CHECK_FALSE(p.exitcode());
    CHECK_FALSE(p.join(0s));
    CHECK_FALSE(p.join(-1s));
    CHECK(p.is_alive());
    (p.*end)();
    CHECK(p.join(20s));
    CHECK_FALSE(p.is_alive());
    CHECK_FALSE(is_listed(p));
    CHECK(p.join());
    CHECK(p.exitcode() == -signal);
}

}  // namespace

TEST_CASE("_TestProcess.test_terminate: SIGTERM", "[process]") {
    check_ending(each_start_method(), &mp::BaseProcess::terminate, SIGTERM);
}

TEST_CASE("_TestProcess.test_kill: SIGKILL", "[process]") {
    check_ending(each_start_method(), &mp::BaseProcess::kill, SIGKILL);
}

TEST_CASE("_TestProcess.test_cpu_count: at least one", "[process]") {
    CHECK(mp::cpu_count() >= 1);
    CHECK(mp::usable_cpu_count() >= 1);
    CHECK(mp::usable_cpu_count() <= mp::cpu_count());
}

TEST_CASE("_TestProcess.test_active_children: only while they run", "[process]") {
    const mp::Context ctx = each_start_method();
    CHECK(mp::active_children().empty());
    mp::Process p = ctx.Process(block_until_killed);
    CHECK_FALSE(is_listed(p));
    p.start();
    CHECK(is_listed(p));
    p.kill();
    CHECK(p.join(20s));
    CHECK_FALSE(is_listed(p));
}

namespace {

void recurse(mp::StartMethod method, mp::Connection out, std::vector<int> id) {
    out.send(id);
    if (id.size() >= 2) {
        return;
    }
    for (int i = 0; i < 2; ++i) {
        std::vector<int> childs = id;
        childs.push_back(i);
        mp::Process p = mp::get_context(method).Process(recurse, method, out, childs);
        p.start();
        p.join();
    }
}

}  // namespace

TEST_CASE("_TestProcess.test_recursion: ids arrive depth first", "[process]") {
    const mp::Context ctx = each_start_method();
    auto [reader, writer] = mp::Pipe({.duplex = false});
    recurse(ctx.get_start_method(), writer, {});
    writer.close();
    const std::vector<std::vector<int>> expected{
        {}, {0}, {0, 0}, {0, 1}, {1}, {1, 0}, {1, 1}};
    for (const auto& id : expected) {
        REQUIRE(reader.poll(20s));
        CHECK(reader.recv<std::vector<int>>() == id);
    }
}

TEST_CASE("_TestProcess.test_sentinel: ready from the end on", "[process]") {
    const mp::Context ctx = each_start_method();
    auto [ours, childs] = mp::Pipe();
    mp::Process p = ctx.Process([](mp::Connection in) { in.recv<int>(); }, childs);
    CHECK_THROWS_AS(p.sentinel(), std::invalid_argument);
    p.start();
    const int sentinel = p.sentinel();
    CHECK(mp::connection::wait({sentinel}, 0s).empty());
    ours.send(1);
    CHECK(mp::connection::wait({sentinel}, 20s).size() == 1);
    CHECK(p.join(20s));
    CHECK(mp::connection::wait({sentinel}, 0s).size() == 1);
}

TEST_CASE("_TestProcess.test_close: afterwards nothing works", "[process]") {
    const mp::Context ctx = each_start_method();
    auto [ours, childs] = mp::Pipe();
    mp::Process p = ctx.Process([](mp::Connection in) { in.recv<int>(); }, childs);
    p.start();
    CHECK(p.is_alive());
    CHECK_THROWS_AS(p.close(), std::invalid_argument);
    ours.send(1);
    CHECK(p.join(20s));
    p.close();
    CHECK_THROWS_AS(p.is_alive(), mp::StateError);
    CHECK_THROWS_AS(p.join(), mp::StateError);
    CHECK_THROWS_AS(p.terminate(), mp::StateError);
    p.close();
    CHECK(mp::active_children().empty());
}

TEST_CASE("_TestProcess.test_many_processes: all end, all are told", "[process]") {
    const mp::Context ctx = each_start_method();
    const int count = ctx.get_start_method() == mp::StartMethod::spawn ? 5 : 100;
    std::vector<mp::Process> processes;
    for (int i = 0; i < count; ++i) {
        processes.push_back(ctx.Process(do_nothing));
        processes.back().start();
    }
    for (auto& p : processes) {
        REQUIRE(p.join(30s));
        CHECK(p.exitcode() == 0);
    }
    processes.clear();
    for (int i = 0; i < count; ++i) {
        processes.push_back(ctx.Process(block_until_killed));
        processes.back().start();
        processes.back().terminate();
    }
    for (auto& p : processes) {
        REQUIRE(p.join(30s));
        CHECK(p.exitcode() == -SIGTERM);
    }
}

namespace {

struct Counted {
    explicit Counted(int* destroyed) : destroyed_(destroyed) {}
    Counted() = default;
    Counted(Counted&& other) noexcept
        : destroyed_(std::exchange(other.destroyed_, nullptr)) {}
    Counted& operator=(Counted&&) = delete;

    ~Counted() {
        if (destroyed_ != nullptr) {
            ++*destroyed_;
        }
    }

    void operator()() const {}

    template <class Archive>
    void serialize(Archive&, unsigned) {}

private:
    int* destroyed_ = nullptr;
};

}  // namespace

TEST_CASE(
    "_TestProcess.test_lose_target_ref: after start the target is not kept", "[process]"
) {
    const mp::Context ctx = each_start_method();
    int destroyed = 0;
    mp::Process p = ctx.Process(Counted(&destroyed));
    CHECK(destroyed == 0);
    p.start();
    CHECK(destroyed == 1);
    CHECK(p.join(20s));
    CHECK(p.exitcode() == 0);
}

TEST_CASE(
    "_TestProcess.test_child_fd_inflation: siblings' descriptors do not pile up",
    "[process]"
) {
    const auto method = GENERATE(mp::StartMethod::spawn, mp::StartMethod::forkserver);
    const mp::Context ctx = mp::get_context(method);
    auto [reader, writer] = mp::Pipe({.duplex = false});
    auto [gate, childs_gate] = mp::Pipe();
    std::vector<mp::Process> processes;
    for (int i = 0; i < 5; ++i) {
        processes.push_back(ctx.Process(
            [](mp::Connection out, mp::Connection in) {
                out.send(open_fds());
                in.poll(mp::forever);
            },
            writer,
            childs_gate
        ));
        processes.back().start();
    }
    const int first = reader.recv<int>();
    for (int i = 1; i < 5; ++i) {
        CHECK(reader.recv<int>() == first);
    }
    gate.send(1);
    for (auto& p : processes) {
        CHECK(p.join(20s));
    }
}

TEST_CASE(
    "_TestProcess.test_wait_for_threads: an owned thread is joined, a detached one is "
    "not",
    "[process]"
) {
    const mp::Context ctx = each_start_method();
    auto [reader, writer] = mp::Pipe({.duplex = false});
    mp::Process p = ctx.Process(
        [](mp::Connection out) {
            // A thread that must end before its process has an owner that exit()
            // destroys.
            static std::jthread owned([out]() mutable { out.send(1); });
            std::thread([] { block_until_killed(); }).detach();
        },
        writer
    );
    p.start();
    writer.close();
    CHECK(p.join(20s));
    CHECK(p.exitcode() == 0);
    REQUIRE(reader.poll(20s));
    CHECK(reader.recv<int>() == 1);
}

namespace {

// Closes a standard stream for as long as it lives.
class WithoutStream {
public:
    explicit WithoutStream(int stream) : stream_(stream), kept_(::dup(stream)) {
        ::close(stream);
    }

    ~WithoutStream() {
        ::dup2(kept_, stream_);
        ::close(kept_);
    }

private:
    int stream_;
    int kept_;
};

}  // namespace

TEST_CASE(
    "_TestProcess.test_error_on_stdio_flush_1: closed streams in the parent",
    "[process]"
) {
    const mp::Context ctx = each_start_method();
    const int stream = GENERATE(0, 1, 2);
    std::optional<int> code;
    {
        const WithoutStream closed(stream);
        mp::stop_helpers();
        mp::Process p = ctx.Process(do_nothing);
        p.start();
        p.join(20s);
        code = p.exitcode();
        mp::stop_helpers();
    }
    CHECK(code == 0);
}

TEST_CASE(
    "_TestProcess.test_error_on_stdio_flush_2: closed streams in the child", "[process]"
) {
    const mp::Context ctx = each_start_method();
    const int stream = GENERATE(0, 1, 2);
    mp::Process p = ctx.Process(
        [](int closed) {
            std::printf("unflushed");
            ::close(closed);
        },
        stream
    );
    p.start();
    CHECK(p.join(20s));
    CHECK(p.exitcode() == 0);
}

namespace {

struct Upper : mp::ProcessOf<Upper> {
    mp::Connection connection;

    void run() override {
        for (;;) {
            auto text = connection.recv<std::string>();
            if (text.empty()) {
                return;
            }
            for (char& c : text) {
                c = static_cast<char>(std::toupper(c));
            }
            connection.send(text);
        }
    }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& connection;
    }
};

}  // namespace

TEST_CASE("_TestSubclassingProcess.test_subclassing: a subclass serves", "[process]") {
    const mp::Context ctx = each_start_method();
    mp::set_start_method(ctx.get_start_method(), {.force = true});
    auto [ours, childs] = mp::Pipe();
    Upper upper;
    upper.connection = childs;
    upper.set_daemon(true);
    upper.start();
    ours.send(std::string("hello"));
    CHECK(ours.recv<std::string>() == "HELLO");
    ours.send(std::string("world"));
    CHECK(ours.recv<std::string>() == "WORLD");
    ours.send(std::string());
    CHECK(upper.join(20s));
    CHECK(upper.exitcode() == 0);
}

namespace {

// What a child writes to stderr, read back from a file.
std::string stderr_of(mp::Process& p) {
    std::FILE* file = std::tmpfile();
    const int kept = ::dup(2);
    ::dup2(::fileno(file), 2);
    mp::stop_helpers();
    p.start();
    p.join(20s);
    mp::stop_helpers();
    ::dup2(kept, 2);
    ::close(kept);
    std::string text;
    std::rewind(file);
    for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) {
        text += static_cast<char>(c);
    }
    std::fclose(file);
    return text;
}

}  // namespace

TEST_CASE(
    "_TestSubclassingProcess.test_stderr_flush: a failure is reported in full",
    "[process]"
) {
    const mp::Context ctx = each_start_method();
    mp::Process p = ctx.Process({.name = "failing"}, [] {
        throw std::runtime_error("the whole text");
    });
    const std::string report = stderr_of(p);
    CHECK(p.exitcode() == 1);
    CHECK(report == "Process failing:\nstd::runtime_error: the whole text\n");
}

TEST_CASE("_TestSubclassingProcess.test_sys_exit: SystemExit's statuses", "[process]") {
    const mp::Context ctx = each_start_method();
    mp::Process text = ctx.Process([] { throw mp::SystemExit("ignore this"); });
    CHECK(stderr_of(text) == "ignore this\n");
    CHECK(text.exitcode() == 1);
    const auto code_of = [&](auto target) {
        mp::Process p = ctx.Process(target);
        p.start();
        p.join(20s);
        return p.exitcode();
    };
    CHECK(code_of([] { throw mp::SystemExit(true); }) == 1);
    CHECK(code_of([] { throw mp::SystemExit(false); }) == 0);
    CHECK(code_of([] { throw mp::SystemExit(8); }) == 8);
    CHECK(code_of([] { throw mp::SystemExit(); }) == 0);
}

TEST_CASE("_TestPollEintr.test_poll_eintr: a signal does not end join", "[process]") {
    const mp::Context ctx = each_start_method();
    struct sigaction handle {};
    static std::atomic<int> seen{0};
    seen = 0;
    handle.sa_handler = [](int) {
        seen.fetch_add(1);
    };
    struct sigaction before {};
    ::sigaction(SIGUSR1, &handle, &before);
    mp::Process p =
        ctx.Process([](int parent) { ::kill(parent, SIGUSR1); }, ::getpid());
    p.start();
    CHECK(p.join());
    CHECK(p.exitcode() == 0);
    CHECK(seen == 1);
    ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_CASE(
    "TestStdinBadfiledescriptor.test_queue_in_process: a grandchild works", "[process]"
) {
    const mp::Context ctx = each_start_method();
    mp::Process p = ctx.Process(
        [](mp::StartMethod method) {
            auto [reader, writer] = mp::Pipe({.duplex = false});
            mp::Process inner = mp::get_context(method).Process(
                [](mp::Connection out) { out.send(123); }, writer
            );
            inner.start();
            if (reader.recv<int>() != 123) {
                throw mp::SystemExit(2);
            }
            inner.join();
        },
        ctx.get_start_method()
    );
    p.start();
    CHECK(p.join(20s));
    CHECK(p.exitcode() == 0);
}

namespace {

int squared(int n) {
    return n * n;
}

void use_a_pool(mp::StartMethod method) {
    futures::ProcessPoolExecutor pool(
        {.max_workers = 4, .mp_context = mp::get_context(method)}
    );
    int sum = 0;
    for (const int square : pool.map(squared, std::vector<int>{1, 2, 3, 4})) {
        sum += square;
    }
    if (sum != 30) {
        throw mp::SystemExit(2);
    }
}

}  // namespace

TEST_CASE(
    "TestStdinBadfiledescriptor.test_pool_in_process: a child uses a pool of its own",
    "[process]"
) {
    const mp::Context ctx = each_start_method();
    mp::Process p = ctx.Process(use_a_pool, ctx.get_start_method());
    p.start();
    CHECK(p.join(20s));
    CHECK(p.exitcode() == 0);
}
