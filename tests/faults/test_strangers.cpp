// SPDX-License-Identifier: BSL-1.0
// What a Listener with a key does about those who do not hold it: floods of silent
// clients, and few descriptors.
#include "mp/errors.hpp"
#include "mp/listener.hpp"

#include "support/callers.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/fork_child.hpp"
#include "support/log_capture.hpp"
#include "support/text_of.hpp"

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
#include <vector>

using namespace mp;
using namespace std::chrono_literals;
using mp::connection::Address;
using mp::connection::Client;
using mp::connection::Family;
using mp::connection::inet;
using mp::connection::Listener;
using mp::connection::ListenerOptions;
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

// UBSan needs a descriptor to look at what an exception points to.
TEST_CASE(
    "P24: no descriptor is left: strangers are turned away", "[listener][no-asan]"
) {
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
