// SPDX-License-Identifier: BSL-1.0
// What a Process is made of and what its child knows, by the rows of the conformance
// table.
#include "mp/mp.hpp"

#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/start_methods.hpp"

#include <unistd.h>

#include <array>
#include <cctype>
#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using test::block_until_killed;

namespace {

void do_nothing() {}

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

TEST_CASE("_TestProcess.test_cpu_count: at least one", "[process]") {
    CHECK(mp::cpu_count() >= 1);
    CHECK(mp::usable_cpu_count() >= 1);
    CHECK(mp::usable_cpu_count() <= mp::cpu_count());
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
