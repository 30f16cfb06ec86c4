// SPDX-License-Identifier: BSL-1.0
// What a Listener with a key does about those who do not hold it: floods of silent
// clients, few descriptors, scanners, and clients that go.
#include "mp/errors.hpp"
#include "mp/listener.hpp"
#include "mp/log.hpp"

#include "os/socket.hpp"
#include "support/callers.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/fork_child.hpp"
#include "support/log_capture.hpp"
#include "support/patience.hpp"
#include "support/text_of.hpp"
#include "wire/refusals.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <netinet/in.h>
#include <string>
#include <string_view>
#include <vector>

using namespace mp;
using namespace std::chrono_literals;
using mp::connection::Address;
using mp::connection::Client;
using mp::connection::Family;
using mp::connection::inet;
using mp::connection::Listener;
using mp::connection::ListenerOptions;
using mp::connection::ListenerStatistics;
using test::any_family;
using test::beside;
using test::bytes_of;
using test::caller;
using test::error_of;
using test::key;
using test::text_of;

namespace {

void limit_descriptors(rlim_t limit) {
    rlimit now{};
    ::getrlimit(RLIMIT_NOFILE, &now);
    now.rlim_cur = std::min(limit, now.rlim_max);
    ::setrlimit(RLIMIT_NOFILE, &now);
}

// A server in a process of its own, with a few descriptors. What it says comes over
// `told`; it ends when that is closed.
class Server {
public:
    Server(ListenerOptions options, rlim_t descriptors) {
        auto [ours, theirs] = mp::Pipe();
        told_ = ours;
        child_ = test::fork_child([&, &ours = ours, &theirs = theirs] {
            ours.close();
            limit_descriptors(descriptors);
            Listener listener(options);
            theirs.send(listener.address());
            return serve(listener, theirs);
        });
        theirs.close();
        address_ = told_.recv<Address>();
    }

    ~Server() {
        told_.close();
        CHECK(test::exit_status(child_) == 0);
    }

    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    const Address& address() const { return address_; }

private:
    static int serve(Listener& listener, Connection& told) {
        while (!told.poll()) {
            try {
                listener.accept(5ms).send_bytes("welcome");
            } catch (const mp::TimeoutError&) {
            }
        }
        return 0;
    }

    Connection told_;
    Address address_;
    pid_t child_ = -1;
};

// Silent clients: as many as one likes, of which the latest stay.
class Flood {
public:
    explicit Flood(Address address) : address_(std::move(address)) {}

    void come(int count) {
        for (int i = 0; i < count; ++i) {
            silent_.push_back(Client({.address = address_, .timeout = 30s}));
            if (silent_.size() > 1500) {
                silent_.pop_front();
            }
        }
    }

private:
    Address address_;
    std::deque<Connection> silent_;
};

// From 127.0.0.2, which is another source than everybody else.
Connection call_from_elsewhere(const Address& address) {
    UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in from{};
    from.sin_family = AF_INET;
    from.sin_addr.s_addr = ::inet_addr("127.0.0.2");
    sockaddr_in to = from;
    to.sin_addr.s_addr = ::inet_addr(address.host().c_str());
    to.sin_port = htons(address.port());
    const auto as_any = [](const sockaddr_in& one) {
        return reinterpret_cast<const sockaddr*>(&one);
    };
    REQUIRE(::bind(socket.get(), as_any(from), sizeof from) == 0);
    REQUIRE(::connect(socket.get(), as_any(to), sizeof to) == 0);
    return Connection(std::move(socket));
}

// A client far away: whatever it says or hears, `meanwhile` happens on the way.
bool gets_through_from_afar(
    const std::function<Connection()>& call, const std::function<void()>& meanwhile
) {
    Listener near({.family = Family::unix_socket});
    const pid_t client = test::fork_child([&] {
        try {
            Connection connection =
                Client({.address = near.address(), .authkey = key, .timeout = 60s});
            return text_of(connection.recv_bytes()) == "welcome" ? 0 : 1;
        } catch (const EOFError&) {
            return 2;
        }
    });
    Connection there = near.accept(30s);
    try {
        Connection far = call();
        for (int message = 0; message < 3; ++message) {
            meanwhile();
            there.send_bytes(far.recv_bytes());
            const auto said = there.recv_bytes();
            meanwhile();
            far.send_bytes(said);
        }
        there.send_bytes(far.recv_bytes());
    } catch (const EOFError&) {
    } catch (const std::system_error&) {
    }
    there.close();
    return test::exit_status(client) == 0;
}

UniqueFd bare_call(const Address& address) {
    Connection connection = Client({.address = address, .timeout = 30s});
    return UniqueFd(::fcntl(connection.fileno(), F_DUPFD_CLOEXEC, 3));
}

// accept() until `done`; everything that comes out of it is an error.
template <class Done>
bool accept_until(Listener& listener, Done done) {
    const Deadline deadline(test::patience(1500ms));
    while (!done(listener.statistics())) {
        if (deadline.expired()) {
            return false;
        }
        CHECK_THROWS_AS(listener.accept(5ms), mp::TimeoutError);
    }
    return true;
}

}  // namespace

TEST_CASE(
    "P23: a flood, and a client far away that comes again and again", "[listener]"
) {
    // 100 at a time: as 2,000 a second do while a message is under way for 50 ms.
    const Server server({.family = Family::unix_socket, .authkey = key}, 1024);
    Flood flood(server.address());
    flood.come(1000);
    int tries = 0;
    bool in = false;
    while (!in && tries < 60) {
        ++tries;
        in = gets_through_from_afar(
            [&] { return Client({.address = server.address(), .timeout = 30s}); },
            [&] { flood.come(50); }
        );
    }
    CHECK(in);
}

TEST_CASE("P23: a flood does not concern a client from elsewhere", "[listener]") {
    const Server server(
        {.address = inet("127.0.0.1", 0), .backlog = 1000, .authkey = key}, 256
    );
    Flood flood(server.address());
    flood.come(200);
    for (int round = 0; round < 5; ++round) {
        CHECK(gets_through_from_afar(
            [&] { return call_from_elsewhere(server.address()); },
            [&] { flood.come(50); }
        ));
    }
}

TEST_CASE("P24: silent clients leave the program its descriptors", "[listener]") {
    auto [ours, theirs] = mp::Pipe();
    const bool two = GENERATE(false, true);
    const pid_t child = test::fork_child([&, &ours = ours, &theirs = theirs] {
        ours.close();
        limit_descriptors(256);
        Listener listener({.family = Family::unix_socket, .authkey = key});
        Listener second({.family = Family::unix_socket, .authkey = key});
        theirs.send(listener.address());
        theirs.send(second.address());
        // All that may be dropped has been.
        const std::uint64_t all = two ? 540 : 240;
        for (;;) {
            const auto dropped =
                listener.statistics().dropped + second.statistics().dropped;
            if (dropped >= all) {
                break;
            }
            for (Listener* one : {&listener, &second}) {
                try {
                    one->accept(1ms);
                    return 1;
                } catch (const mp::TimeoutError&) {
                }
            }
        }
        std::vector<UniqueFd> files;
        for (int i = 0; i < 160; ++i) {
            files.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
            if (!files.back()) {
                return 2;
            }
        }
        theirs.send_bytes("opened");
        return 0;
    });
    theirs.close();
    const auto first = ours.recv<Address>();
    const auto second = ours.recv<Address>();
    std::vector<Connection> silent;
    for (int i = 0; i < 300; ++i) {
        silent.push_back(Client({.address = first, .timeout = 30s}));
        if (two) {
            silent.push_back(Client({.address = second, .timeout = 30s}));
        }
    }
    CHECK(test::exit_status(child) == 0);
    CHECK(text_of(ours.recv_bytes()) == "opened");
}

TEST_CASE("P24: the program has opened nearly all descriptors itself", "[listener]") {
    auto [ours, theirs] = mp::Pipe();
    const pid_t child = test::fork_child([&, &ours = ours, &theirs = theirs] {
        ours.close();
        limit_descriptors(64);
        Listener listener({.family = Family::unix_socket, .authkey = key});
        std::vector<UniqueFd> files;
        while (files.empty() || files.back().get() < 58) {
            files.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        }
        theirs.send(listener.address());
        listener.accept(30s).send_bytes("welcome");
        theirs.send_bytes("served");
        theirs.recv_bytes();
        return ::open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0 ? 0 : 2;
    });
    theirs.close();
    const auto address = ours.recv<Address>();
    std::vector<Connection> silent;
    for (int i = 0; i < 20; ++i) {
        silent.push_back(Client({.address = address, .timeout = 30s}));
    }
    // There is room for two or three: each try has its chance.
    bool in = false;
    for (int tries = 0; tries < 60 && !in; ++tries) {
        try {
            Client({.address = address, .authkey = key, .timeout = 30s}).poll(30s);
            in = true;
        } catch (const EOFError&) {
        }
    }
    CHECK(in);
    CHECK(text_of(ours.recv_bytes()) == "served");
    ours.send_bytes("end");
    CHECK(test::exit_status(child) == 0);
}

TEST_CASE("P24: no descriptor is left: strangers are turned away", "[listener]") {
    const test::LogCapture log;
    auto [ours, theirs] = mp::Pipe();
    const pid_t child = test::fork_child([&, &ours = ours, &theirs = theirs] {
        ours.close();
        Listener listener({.family = Family::unix_socket, .authkey = key});
        theirs.send(listener.address());
        limit_descriptors(64);
        std::vector<UniqueFd> files;
        for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) {
            files.emplace_back(fd);
        }
        while (listener.statistics().dropped < 3) {
            if (error_of([&] {
                    try {
                        listener.accept(5ms);
                    } catch (const mp::TimeoutError&) {
                    }
                }) != 0) {
                return 1;
            }
        }
        files.clear();
        theirs.send_bytes("closed");
        listener.accept(30s);
        return 0;
    });
    theirs.close();
    const auto address = ours.recv<Address>();
    for (int i = 0; i < 3; ++i) {
        // It reads the end, not that its key is wrong.
        CHECK_THROWS(Client({.address = address, .authkey = key, .timeout = 30s}));
    }
    CHECK(text_of(ours.recv_bytes()) == "closed");
    CHECK_NOTHROW(Client({.address = address, .authkey = key, .timeout = 30s}));
    CHECK(test::exit_status(child) == 0);
}

TEST_CASE("P24: a full table costs one stranger at a time", "[listener]") {
    const test::LogCapture log;
    auto [ours, theirs] = mp::Pipe();
    const pid_t child = test::fork_child([&, &ours = ours, &theirs = theirs] {
        ours.close();
        limit_descriptors(256);
        Listener listener({.family = Family::unix_socket, .authkey = key});
        const auto serve = [&] {
            try {
                listener.accept(5ms);
            } catch (const mp::TimeoutError&) {
            }
        };
        theirs.send(listener.address());
        // Each of them hears its challenge, so it is under way.
        while (!theirs.poll()) {
            serve();
        }
        theirs.recv_bytes();
        std::vector<UniqueFd> files;
        for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) {
            files.emplace_back(fd);
        }
        theirs.send_bytes("full");
        while (listener.statistics().dropped == 0) {
            serve();
        }
        serve();
        return static_cast<int>(listener.statistics().dropped);
    });
    theirs.close();
    const auto address = ours.recv<Address>();
    std::vector<Connection> silent;
    for (int i = 0; i < 20; ++i) {
        silent.push_back(Client({.address = address, .timeout = 30s}));
        silent.back().poll(30s);
    }
    ours.send_bytes("all are there");
    CHECK(text_of(ours.recv_bytes()) == "full");
    silent.push_back(Client({.address = address, .timeout = 30s}));
    CHECK(test::exit_status(child) == 1);
}

TEST_CASE("P24: a full table is not told to the other side as a wrong key") {
    const int status = test::run_in_fork([] {
        Listener other({.family = Family::unix_socket});
        limit_descriptors(64);
        std::vector<UniqueFd> files;
        for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) {
            files.emplace_back(fd);
        }
        files.pop_back();
        // There is room for the socket, and then for nothing.
        const int error = error_of([&] {
            Client({.address = other.address(), .authkey = key, .timeout = 10ms});
        });
        return error == EMFILE ? 0 : 1;
    });
    // Either the library was there already, or the limit is told as what it is.
    CHECK((status == 0 || status == 99));
}

TEST_CASE("P25: accept() gives clients, not the mistakes of scanners", "[listener]") {
    const test::LogCapture log;
    Listener listener({.family = any_family(), .authkey = key});
    std::vector<UniqueFd> scanners;
    const auto scan = [&](std::string_view says) {
        scanners.push_back(bare_call(listener.address()));
        os::send_all(scanners.back().get(), bytes_of(says), Deadline(30s));
    };
    scan("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    scan(std::string_view("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11));
    scan(std::string_view("\xff\xff\xff\xff\xff", 5));
    scan(std::string_view("\0\0\0\4what", 8));
    CHECK(accept_until(listener, [](const ListenerStatistics& now) {
        return now.protocol_errors == 4;
    }));
    for (const UniqueFd& scanner : scanners) {
        std::vector<std::byte> buffer(200);
        while (os::receive_some(scanner.get(), buffer, Deadline(30s)) > 0) {
        }
    }
    bare_call(listener.address());
    CHECK(accept_until(listener, [](const ListenerStatistics& now) {
        return now.disconnected == 1;
    }));
    auto good = caller(listener.address(), "in");
    CHECK(text_of(listener.accept(30s).recv_bytes()) == "in");
    good.get();
    const ListenerStatistics all = listener.statistics();
    CHECK(all.accepted == 1);
    CHECK(all.authentication_failures == 0);
    CHECK(all.timeouts == 0);
    CHECK(all.dropped == 0);
    CHECK(all.refused_users == 0);
    listener.close();
    CHECK(listener.statistics().accepted == 1);
}

TEST_CASE("P25: accept() throws what scanners do, where it is asked to", "[listener]") {
    Listener listener(
        {.family = Family::unix_socket, .authkey = key, .throw_protocol_errors = true}
    );
    const UniqueFd scanner = bare_call(listener.address());
    os::send_all(scanner.get(), bytes_of("GET / HTTP/1.1\r\n\r\n"), Deadline(30s));
    CHECK_THROWS_AS(listener.accept(30s), AuthenticationError);
    CHECK(listener.statistics().protocol_errors == 1);
    bare_call(listener.address());
    CHECK_THROWS(listener.accept(30s));
    CHECK(listener.statistics().disconnected == 1);
    auto good = caller(listener.address(), "in");
    CHECK(text_of(listener.accept(30s).recv_bytes()) == "in");
    good.get();
}

TEST_CASE("P14 P25: silence and wrong keys are counted, too", "[listener]") {
    const test::LogCapture log;
    Listener listener(
        {.family = Family::unix_socket, .authkey = key, .handshake_timeout = 20ms}
    );
    std::vector<Connection> silent;
    for (int i = 0; i < 3; ++i) {
        silent.push_back(Client({.address = listener.address()}));
    }
    CHECK(accept_until(listener, [](const ListenerStatistics& now) {
        return now.timeouts == 3;
    }));
    // One that gives everybody time to say what is wrong.
    Listener patient({.family = Family::unix_socket, .authkey = key});
    auto wrong = beside([&] {
        Client({.address = patient.address(), .authkey = "wrong", .timeout = 30s});
    });
    CHECK_THROWS_AS(patient.accept(30s), AuthenticationError);
    CHECK_THROWS_AS(wrong.get(), AuthenticationError);
    CHECK(patient.statistics().authentication_failures == 1);
    // A forked child has a count of its own.
    CHECK(test::run_in_fork([&] {
              if (listener.statistics().timeouts != 0) {
                  return 2;
              }
              try {
                  listener.accept(0s);
              } catch (const mp::TimeoutError&) {
              }
              return listener.statistics().timeouts == 0 ? 0 : 1;
          }) == 0);
}

TEST_CASE("P25: scanners leave the log lines for other users", "[listener]") {
    const test::LogCapture log;
    detail::Refusals refusals;
    for (int i = 0; i < 100; ++i) {
        refusals.count(detail::Outcome::protocol_error, [] { return "a scanner"; });
    }
    refusals.count(detail::Outcome::refused_user, [] { return "another user"; });
    CHECK(log.text().find("another user") != std::string::npos);
    CHECK(refusals.statistics().protocol_errors == 100);
    CHECK(refusals.statistics().refused_users == 1);
}

TEST_CASE("P23: refused clients do not fill the log, nor the table", "[listener]") {
    const test::LogCapture log;
    const auto before = get_logger().level();
    get_logger().set_level(spdlog::level::info);
    Listener listener({.family = Family::unix_socket, .authkey = key});
    for (std::uint64_t i = 1; i <= 2000; ++i) {
        const UniqueFd scanner = bare_call(listener.address());
        if (i % 2 == 0) {
            os::send_all(scanner.get(), bytes_of("GET / HTTP/1.1\r\n"), Deadline(30s));
        }
        if (i % 100 == 0) {
            REQUIRE(accept_until(listener, [&](const ListenerStatistics& now) {
                return now.protocol_errors + now.disconnected == i;
            }));
        }
    }
    get_logger().set_level(before);
    // So many a minute, and a minute may end in between.
    const std::string text = log.text();
    const auto lines = std::count(text.begin(), text.end(), '\n');
    CHECK(lines >= 30);
    CHECK(lines < 200);
    CHECK(listener.statistics().dropped == 0);
    auto good = caller(listener.address(), "in");
    CHECK(text_of(listener.accept(30s).recv_bytes()) == "in");
    good.get();
}
