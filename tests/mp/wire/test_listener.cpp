// SPDX-License-Identifier: BSL-1.0
#include "mp/authentication.hpp"
#include "mp/errors.hpp"
#include "mp/listener.hpp"
#include "mp/wait.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/log_capture.hpp"
#include "support/signal_storm.hpp"
#include "support/temp_dir.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace mp;
using namespace std::chrono_literals;
using mp::connection::Address;
using mp::connection::Client;
using mp::connection::Family;
using mp::connection::inet;
using mp::connection::Listener;

namespace {

constexpr std::string_view key = "the key";

template <class Call>
int error_of(Call call) {
    try {
        call();
    } catch (const std::system_error& e) {
        return e.code().value();
    }
    return 0;
}

std::string text_of(const std::vector<std::byte>& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <class Call>
auto beside(Call call) {
    return std::async(std::launch::async, std::move(call));
}

// Calls, says a word, and keeps the connection.
std::future<Connection> caller(const Address& address, std::string word) {
    return beside([=] {
        Connection connection =
            Client({.address = address, .authkey = key, .timeout = 30s});
        connection.send_bytes(word);
        return connection;
    });
}

bool is_there(const std::filesystem::path& path) {
    return std::filesystem::exists(std::filesystem::symlink_status(path));
}

Family any_family() {
    return GENERATE(Family::unix_socket, Family::inet, Family::inet6);
}

}  // namespace

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

TEST_CASE("Client: nobody listens", "[listener]") {
    const test::TempDir directory;
    const std::string path = directory.path() / "socket";
    CHECK(error_of([&] { Client({.address = path}); }) == ENOENT);
    Address closed;
    {
        const Listener listener({.family = Family::inet});
        closed = listener.address();
    }
    CHECK(error_of([&] { Client({.address = closed}); }) == ECONNREFUSED);
}

TEST_CASE("Client: a server that is busy", "[listener]") {
    const Family family = GENERATE(Family::unix_socket, Family::inet);
    Listener listener({.family = family, .backlog = 1, .authkey = key});
    // Connected or not: nobody accepts, so the handshake does not even begin.
    CHECK_THROWS_AS(
        Client({.address = listener.address(), .authkey = key, .timeout = 30ms}),
        TimeoutError
    );
    CHECK_THROWS_AS(
        Client({.address = listener.address(), .authkey = key, .timeout = 0s}),
        TimeoutError
    );
}

TEST_CASE("Client: a backlog that is full ends at the timeout", "[listener]") {
    Listener listener({.family = Family::unix_socket, .backlog = 0});
    const Connection first = Client({.address = listener.address()});
    CHECK_THROWS_AS(
        Client({.address = listener.address(), .timeout = 20ms}), TimeoutError
    );
    CHECK_NOTHROW(listener.accept(20s));
    CHECK_NOTHROW(Client({.address = listener.address(), .timeout = 20s}));
}

TEST_CASE("Client: waits for a server that is slow, among signals", "[listener]") {
    Listener listener({.family = Family::unix_socket, .backlog = 0});
    const Connection first = Client({.address = listener.address()});
    std::promise<void> started;
    auto second = beside([&] {
        const test::SignalStorm storm;
        started.set_value();
        return Client({.address = listener.address(), .timeout = 30s});
    });
    started.get_future().wait();
    CHECK(second.wait_for(20ms) == std::future_status::timeout);
    listener.accept();
    listener.accept(30s);
    CHECK_FALSE(second.get().closed());
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

TEST_CASE("P13: Listener: a client with another key", "[listener]") {
    Listener listener({.family = any_family(), .authkey = key});
    auto wrong = beside([&] {
        Client({.address = listener.address(), .authkey = "wrong", .timeout = 30s});
    });
    CHECK_THROWS_AS(listener.accept(30s), AuthenticationError);
    CHECK_THROWS_AS(wrong.get(), AuthenticationError);
    auto right = caller(listener.address(), "right");
    CHECK(text_of(listener.accept(30s).recv_bytes()) == "right");
    right.get();
}

TEST_CASE("Client: a server with another key", "[listener]") {
    Listener listener({.family = Family::unix_socket});
    auto client = beside([&] {
        Client({.address = listener.address(), .authkey = key, .timeout = 30s});
    });
    // It can judge us, but does not know the key.
    const Connection accepted = listener.accept(30s);
    connection::deliver_challenge(accepted, AuthenticationString(key));
    CHECK_THROWS_AS(
        connection::answer_challenge(accepted, AuthenticationString("wrong")),
        AuthenticationError
    );
    CHECK_THROWS_AS(client.get(), AuthenticationError);
}

TEST_CASE("P14: Listener: silent clients keep nobody waiting", "[listener]") {
    const test::LogCapture log;
    Listener listener(
        {.family = any_family(), .authkey = key, .handshake_timeout = 50ms}
    );
    std::vector<Connection> silent;
    for (int i = 0; i < 20; ++i) {
        silent.push_back(Client({.address = listener.address()}));
    }
    auto good = caller(listener.address(), "served");
    CHECK(text_of(listener.accept(30s).recv_bytes()) == "served");
    good.get();
    CHECK_THROWS_AS(listener.accept(200ms), TimeoutError);
    for (Connection& one : silent) {
        CHECK(one.recv_bytes().size() == 59);  // the challenge
        CHECK_THROWS_AS(one.recv_bytes(), EOFError);
    }
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

TEST_CASE("P4: TestIgnoreEINTR.test_ignore_listener: signals", "[listener]") {
    Listener listener({.family = any_family(), .authkey = key});
    std::promise<void> storming;
    auto client = beside([&] {
        storming.get_future().wait();
        return caller(listener.address(), "welcome").get();
    });
    const test::SignalStorm storm;
    do {
        CHECK_THROWS_AS(listener.accept(20ms), TimeoutError);
    } while (storm.count() == 0);
    storming.set_value();
    CHECK(text_of(listener.accept().recv_bytes()) == "welcome");
    client.get();
}

TEST_CASE(
    "Listener: a forked child accepts at the same address, and removes nothing",
    "[listener]"
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

TEST_CASE("P15: Listener: another user is refused", "[listener]") {
    if (::geteuid() != 0) {
        WARN("not tested: only root can be somebody else");
        return;
    }
    const bool any_user = GENERATE(false, true);
    const test::LogCapture log;
    Listener listener({.family = Family::unix_socket, .any_user = any_user});
    auto [reader, writer] = mp::Pipe(Duplex::no);
    const pid_t child = test::fork_child([&, &writer = writer] {
        if (::setresuid(65534, 65534, 65534) != 0) {
            return 2;
        }
        Connection connection = Client({.address = listener.address()});
        writer.send_bytes("connected");
        try {
            connection.recv_bytes();
            return 1;
        } catch (const EOFError&) {
            return 0;
        }
    });
    reader.recv_bytes();
    if (any_user) {
        listener.accept(30s).send_bytes("x");
        CHECK(test::exit_status(child) == 1);
    } else {
        auto own = beside([&] { return Client({.address = listener.address()}); });
        const Connection accepted = listener.accept(30s);
        CHECK_THROWS_AS(listener.accept(0s), TimeoutError);
        CHECK(test::exit_status(child) == 0);
        own.get();
        CHECK(log.text().find("of user 65534 was refused") != std::string::npos);
    }
}

TEST_CASE("P16: Listener: replaces what a dead server left", "[listener]") {
    const test::TempDir directory;
    const std::string path = directory.path() / "socket";
    const pid_t child = test::fork_child([&] {
        const Listener listener({.address = path});
        ::raise(SIGKILL);
        return 0;
    });
    CHECK(test::exit_status(child) == -SIGKILL);
    REQUIRE(is_there(path));
    Listener listener({.address = path});
    auto client = beside([&] { return Client({.address = path}); });
    CHECK_NOTHROW(listener.accept(30s));
    client.get();
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

TEST_CASE("P17: Listener: of servers that race for one path one wins", "[listener]") {
    const test::TempDir directory;
    const std::string path = directory.path() / "socket";
    for (int round = 0; round < 20; ++round) {
        if (round % 2 == 1) {
            // Something is in the way, which every one of them would like to remove.
            CHECK(test::run_in_fork([&] {
                      const Listener dead({.address = path});
                      ::_exit(0);
                      return 0;
                  }) == 0);
        }
        auto [start, starter] = mp::Pipe(Duplex::no);
        auto [verdicts, judge] = mp::Pipe(Duplex::no);
        auto [end, ender] = mp::Pipe(Duplex::no);
        std::vector<pid_t> children;
        for (int i = 0; i < 6; ++i) {
            children.push_back(test::fork_child([&,
                                                 start = start,
                                                 starter = starter,
                                                 judge = judge,
                                                 end = end,
                                                 ender = ender]() mutable {
                starter.close();
                ender.close();
                start.poll(forever);
                try {
                    Listener listener({.address = path});
                    judge.send_bytes("w");
                    const bool served =
                        text_of(listener.accept(30s).recv_bytes()) == "hello";
                    end.poll(forever);
                    return served ? 0 : 1;
                } catch (const std::system_error& e) {
                    judge.send_bytes("l");
                    end.poll(forever);
                    return e.code().value() == EADDRINUSE ? 2 : 3;
                }
            }));
        }
        starter.close();
        judge.close();
        std::string all;
        for (int i = 0; i < 6; ++i) {
            all += text_of(verdicts.recv_bytes());
        }
        CHECK(std::count(all.begin(), all.end(), 'w') == 1);
        Client({.address = path, .timeout = 30s}).send_bytes("hello");
        ender.close();
        int winners = 0;
        for (const pid_t child : children) {
            const int status = test::exit_status(child);
            CHECK((status == 0 || status == 2));
            winners += status == 0 ? 1 : 0;
        }
        CHECK(winners == 1);
    }
}
