// SPDX-License-Identifier: BSL-1.0
// Listener: its addresses, its files, and accept() in threads, beside others and in
// forked children.
#include "mp/errors.hpp"
#include "mp/listener.hpp"
#include "mp/wait.hpp"

#include "support/callers.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/fork_child.hpp"
#include "support/log_capture.hpp"
#include "support/temp_dir.hpp"
#include "support/text_of.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <future>
#include <optional>
#include <string>
#include <vector>

using namespace mp;
using namespace std::chrono_literals;
using mp::connection::Address;
using mp::connection::Client;
using mp::connection::Family;
using mp::connection::inet;
using mp::connection::Listener;
using test::any_family;
using test::beside;
using test::caller;
using test::error_of;
using test::is_there;
using test::key;
using test::text_of;

TEST_CASE("Listener: finds an address of each family", "[listener]") {
    const Family family = any_family();
    Listener listener({.family = family, .authkey = key});
    const Address address = listener.address();
    CHECK(address.family() == family);
    CHECK(address.is_abstract() == (family == Family::unix_socket));
    CHECK((address.port() != 0) == (family != Family::unix_socket));
    CHECK_FALSE(listener.last_accepted());
    auto client = caller(address, "hello");
    Connection accepted = listener.accept();
    CHECK(text_of(accepted.recv_bytes()) == "hello");
    REQUIRE(listener.last_accepted());
    if (family == Family::unix_socket) {
        CHECK(listener.last_accepted()->empty());
    } else {
        CHECK(listener.last_accepted()->host() == address.host());
        CHECK(listener.last_accepted()->port() != 0);
    }
    accepted.send(5);
    CHECK(client.get().recv<int>() == 5);
}

TEST_CASE("Listener: without any option it is TCP, here only", "[listener]") {
    Listener listener;
    CHECK(listener.address().host() == "127.0.0.1");
    auto client = beside([&] { return Client({.address = listener.address()}); });
    Connection accepted = listener.accept();
    accepted.send_bytes("x");
    CHECK(text_of(client.get().recv_bytes()) == "x");
}

TEST_CASE("Listener: at a path, which it removes", "[listener]") {
    const test::TempDir directory;
    const std::string path = directory.path() / "socket";
    {
        Listener listener({.address = path});
        CHECK(listener.address() == Address(path));
        CHECK(is_there(path));
        listener.close();
        CHECK_FALSE(is_there(path));
        CHECK(listener.closed());
        CHECK(listener.address() == Address(path));
        listener.close();
    }
    { const Listener again({.address = path}); }
    CHECK_FALSE(is_there(path));
    Listener first({.address = path});
    Listener second = std::move(first);
    CHECK(first.closed());
    CHECK(is_there(path));
    second = Listener();
    CHECK_FALSE(is_there(path));
}

TEST_CASE("Listener: a client whose own name is odd", "[listener]") {
    Listener listener({.family = Family::unix_socket});
    // As a Windows pipe's, which is no address here.
    const test::TempDir directory;
    const auto here = std::filesystem::current_path();
    std::filesystem::current_path(directory.path());
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    name.sun_path[0] = name.sun_path[1] = '\\';
    const auto* as_any = reinterpret_cast<const sockaddr*>(&name);
    const int bound = ::bind(socket.get(), as_any, sizeof name);
    std::filesystem::current_path(here);
    REQUIRE(bound == 0);
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    const std::string path = listener.address().path();
    path.copy(to.sun_path, path.size());
    const auto size =
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    REQUIRE(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), size) == 0);
    CHECK_NOTHROW(listener.accept(30s));
    CHECK(listener.last_accepted()->path() == R"(./\\)");
}

TEST_CASE("Listener: removes no file but its own", "[listener]") {
    const test::TempDir directory;
    const std::filesystem::path path = directory.path() / "socket";
    Listener listener({.address = path.string()});
    std::filesystem::rename(path, directory.path() / "elsewhere");
    Listener other({.address = path.string()});
    listener.close();
    CHECK(is_there(path));
}

TEST_CASE("Listener: addresses that cannot be", "[listener]") {
    CHECK_THROWS_AS(Listener({.address = "/no/such/place"}), std::system_error);
    CHECK(error_of([] {
              Listener({.address = std::string(200, 'x')});
          }) == ENAMETOOLONG);
    CHECK(error_of([] {
              Listener({.address = inet("256.256.256.256", 0)});
          }) == EHOSTUNREACH);
    CHECK_THROWS_AS(
        Listener({.address = "/tmp/x", .family = Family::inet}), std::invalid_argument
    );
    CHECK_THROWS_AS(
        Listener({.address = inet("127.0.0.1", 0), .family = Family::unix_socket}),
        std::invalid_argument
    );
    CHECK_THROWS_AS(
        Listener({.address = inet("127.0.0.1", 0), .family = Family::inet6}),
        std::system_error
    );
    CHECK_THROWS_AS(Client({}), std::invalid_argument);
}

TEST_CASE("Listener: accept() with a timeout", "[listener]") {
    const bool with_key = GENERATE(true, false);
    connection::ListenerOptions options{.family = Family::unix_socket};
    if (with_key) {
        options.authkey = key;
    }
    Listener listener(options);
    const auto start = std::chrono::steady_clock::now();
    CHECK_THROWS_AS(listener.accept(0s), TimeoutError);
    CHECK_THROWS_AS(listener.accept(-1s), TimeoutError);
    CHECK_THROWS_AS(listener.accept(30ms), TimeoutError);
    CHECK(std::chrono::steady_clock::now() - start >= 30ms);
    if (!with_key) {
        const Connection client = Client({.address = listener.address()});
        CHECK_NOTHROW(listener.accept(0s));
    }
}

TEST_CASE("Listener: close() ends accept() in other threads", "[listener]") {
    for (int i = 0; i < 20; ++i) {
        Listener listener({.family = Family::unix_socket, .authkey = key});
        std::vector<std::future<int>> accepting;
        for (int t = 0; t < 3; ++t) {
            accepting.push_back(beside([&] {
                return error_of([&] { listener.accept(); });
            }));
        }
        if (i % 2 == 0) {
            // Give them a client that never gets through.
            const Connection silent = Client({.address = listener.address()});
        }
        listener.close();
        for (auto& one : accepting) {
            CHECK(one.get() == EBADF);
        }
        CHECK(error_of([&] { listener.accept(); }) == EBADF);
        CHECK(error_of([&] { listener.fileno(); }) == EBADF);
    }
}

TEST_CASE("Listener: many threads accept, many clients come", "[listener]") {
    Listener listener({.family = Family::unix_socket, .authkey = key});
    constexpr int clients = 60;
    std::atomic<int> left = clients;
    std::vector<std::future<int>> accepting;
    for (int t = 0; t < 3; ++t) {
        accepting.push_back(beside([&] {
            int sum = 0;
            while (left.fetch_sub(1) > 0) {
                sum += listener.accept(30s).recv<int>();
            }
            return sum;
        }));
    }
    std::vector<std::future<void>> calling;
    for (int t = 0; t < 3; ++t) {
        calling.push_back(beside([&, t] {
            for (int i = t; i < clients; i += 3) {
                Client({.address = listener.address(), .authkey = key, .timeout = 30s})
                    .send(i);
            }
        }));
    }
    for (auto& one : calling) {
        one.get();
    }
    int sum = 0;
    for (auto& one : accepting) {
        sum += one.get();
    }
    CHECK(sum == clients * (clients - 1) / 2);
}

TEST_CASE("Listener, Client: messages have a greatest size", "[listener]") {
    Listener listener({.family = any_family(), .authkey = key, .max_message_size = 100}
    );
    auto calling = beside([&] {
        return Client(
            {.address = listener.address(),
             .authkey = key,
             .timeout = 30s,
             .max_message_size = 5}
        );
    });
    Connection accepted = listener.accept(30s);
    Connection client = calling.get();
    client.send_bytes(std::string(101, 'x'));
    CHECK(error_of([&] { accepted.recv_bytes(); }) == EMSGSIZE);
    client.send_bytes(std::string(100, 'x'));
    CHECK(accepted.recv_bytes().size() == 100);
    accepted.send_bytes("123456");
    CHECK(error_of([&] { client.recv_bytes(); }) == EMSGSIZE);
    accepted.send_bytes("12345");
    CHECK(text_of(client.recv_bytes()) == "12345");
}

TEST_CASE("Listener: in wait(), beside a connection", "[listener][wait]") {
    Listener listener({.family = Family::inet, .authkey = key});
    auto [a, b] = mp::Pipe();
    using Ready = std::vector<std::size_t>;
    CHECK(connection::wait({listener, a}, 0s).empty());
    auto client = caller(listener.address(), "x");
    std::optional<Connection> accepted;
    while (!accepted) {
        CHECK(connection::wait({listener, a}, 30s) == Ready{0});
        try {
            accepted = listener.accept(0s);
        } catch (const TimeoutError&) {
        }
    }
    CHECK(text_of(accepted->recv_bytes()) == "x");
    CHECK(connection::wait({listener, a}, 0s).empty());
    client.get();
}

TEST_CASE("Listener: clients that go before they are accepted", "[listener]") {
    const test::LogCapture log;
    Listener listener({.family = any_family(), .authkey = key});
    for (int i = 0; i < 5; ++i) {
        Client({.address = listener.address()});
    }
    auto good = caller(listener.address(), "served");
    CHECK(text_of(listener.accept(30s).recv_bytes()) == "served");
    good.get();
}

TEST_CASE("Listener: no descriptors left", "[listener]") {
    Listener listener({.family = Family::unix_socket, .backlog = 10});
    const Connection first = Client({.address = listener.address()});
    const Connection second = Client({.address = listener.address()});
    std::vector<UniqueFd> all;
    struct rlimit before {};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    struct rlimit small = before;
    small.rlim_cur = static_cast<rlim_t>(second.fileno()) + 1;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &small) == 0);
    for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) {
        all.emplace_back(fd);
    }
    const int error = error_of([&] { listener.accept(20s); });
    all.clear();
    const int again = error_of([&] { listener.accept(20s); });
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(error == EMFILE);
    CHECK((again == 0 || again == EMFILE));
    CHECK(error_of([&] { listener.accept(20s); }) == 0);
}

// The child is forked beside a thread; if that one is in AddressSanitizer's allocator
// then, the child finds a lock there taken for ever.
TEST_CASE(
    "Listener: a forked child accepts at the same address, and removes nothing",
    "[listener][no-asan]"
) {
    const test::TempDir directory;
    const std::string path = directory.path() / "socket";
    Listener listener({.address = path, .authkey = key});
    // One handshake is under way in the parent: the child must not meddle with it.
    auto parents = caller(path, "for the parent");
    CHECK(connection::wait({listener}, 30s).size() == 1);
    CHECK_THROWS_AS(listener.accept(0s), TimeoutError);
    auto [reader, writer] = mp::Pipe(Duplex::no);
    const pid_t child = test::fork_child([&, &writer = writer] {
        writer.send(listener.fileno());
        const bool right =
            text_of(listener.accept(30s).recv_bytes()) == "for the child";
        listener.close();
        return right ? 0 : 1;
    });
    CHECK(reader.recv<int>() == listener.fileno());
    auto childs = caller(path, "for the child");
    CHECK(test::exit_status(child) == 0);
    childs.get();
    CHECK(is_there(path));
    CHECK(text_of(listener.accept(30s).recv_bytes()) == "for the parent");
    parents.get();
}

TEST_CASE(
    "Listener: a child forked while others accept can close it and listen itself",
    "[listener][no-tsan]"
) {
    Listener listener({.family = Family::unix_socket, .authkey = key});
    auto accepting = beside([&] { return error_of([&] { listener.accept(); }); });
    for (int i = 0; i < 20; ++i) {
        CHECK(test::run_in_fork([&] {
                  listener.close();
                  Listener own({.family = Family::unix_socket});
                  const Connection client = Client({.address = own.address()});
                  return own.accept(30s).closed() ? 1 : 0;
              }) == 0);
    }
    listener.close();
    CHECK(accepting.get() == EBADF);
}

TEST_CASE("Listener: replaces nothing that lives, and no other file", "[listener]") {
    const test::TempDir directory;
    const std::string path = directory.path() / "socket";
    {
        // A server whose backlog is full is alive.
        const Listener busy({.address = path, .backlog = 0});
        const Connection waiting = Client({.address = path});
        CHECK(error_of([&] { Listener({.address = path}); }) == EADDRINUSE);
        CHECK(is_there(path));
    }
    const UniqueFd file(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    CHECK(error_of([&] { Listener({.address = path}); }) == EADDRINUSE);
    CHECK(is_there(path));
    std::filesystem::remove(path);
    std::filesystem::create_symlink(directory.path() / "nowhere", path);
    CHECK(error_of([&] { Listener({.address = path}); }) == EADDRINUSE);
    CHECK(is_there(path));
}
