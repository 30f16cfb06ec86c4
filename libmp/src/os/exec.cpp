// SPDX-License-Identifier: BSL-1.0
#include "os/exec.hpp"

#include "os/check.hpp"
#include "os/credentials.hpp"
#include "os/file_text.hpp"
#include "os/fork.hpp"
#include "os/sanitized.hpp"
#include "os/signals.hpp"

#include <climits>

#include <fcntl.h>
#include <link.h>
#include <linux/close_range.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>  // program_invocation_short_name
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

// Not in a C library before 2.34.
// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" [[gnu::weak]] pid_t _Fork() noexcept;

namespace mp::os {
namespace {

// CHILD SIDE: async-signal-safe calls only. The child of vfork shares our memory.

/// Marks the descriptors that /proc names; false where it names none.
bool close_listed_on_exec() noexcept {
    struct Entry {  // as the kernel writes it
        std::uint64_t inode;
        std::int64_t offset;
        std::uint16_t length;
        unsigned char type;
    };
    constexpr std::size_t name_offset = offsetof(Entry, type) + 1;
    const int list = ::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (list < 0) {
        return false;
    }
    alignas(Entry) std::array<char, 4096> room;
    for (;;) {
        const long size = ::syscall(SYS_getdents64, list, room.data(), room.size());
        if (size <= 0) {
            ::close(list);
            return size == 0;
        }
        for (long at = 0; at < size;) {
            Entry entry;
            std::memcpy(&entry, room.data() + at, name_offset);
            int fd = 0;
            bool is_number = true;
            for (const char* c = room.data() + at + name_offset; *c != '\0'; ++c) {
                is_number = is_number && *c >= '0' && *c <= '9';
                fd = is_number ? fd * 10 + (*c - '0') : 0;
            }
            if (is_number && fd >= 3) {
                ::fcntl(fd, F_SETFD, FD_CLOEXEC);
            }
            at += entry.length;
        }
    }
}

/// Where neither close_range() nor /proc is there: as many as can be gone through in no
/// time. With a higher limit nobody knows what is open.
bool close_all_on_exec() noexcept {
    constexpr long max_tried = 1L << 20U;
    const long limit = ::sysconf(_SC_OPEN_MAX);
    for (int fd = 3; fd < limit && limit <= max_tried; ++fd) {
        ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    return limit <= max_tried;
}

/// False when the descriptors cannot be told.
bool inherit_only(std::span<const int> keep) noexcept {
    if (::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) != 0 &&
        !close_listed_on_exec() && !close_all_on_exec()) {
        return false;
    }
    for (const int fd : keep) {
        ::fcntl(fd, F_SETFD, 0);
    }
    return true;
}

// The program gets the user that we act as and no way back to another: one that finds
// several has been given rights that its caller had not. By system calls of our own:
// those of the C library change all threads of the memory that we share. Needs no
// privilege.
bool act_as_one_user(uid_t user, gid_t group) noexcept {
#ifdef SYS_setresuid32
    return ::syscall(SYS_setresgid32, group, group, group) == 0 &&
           ::syscall(SYS_setresuid32, user, user, user) == 0;
#else
    return ::syscall(SYS_setresgid, group, group, group) == 0 &&
           ::syscall(SYS_setresuid, user, user, user) == 0;
#endif
}

/// All that the child needs to know, made before there is one.
struct Launch {
    std::span<const char* const> programs;  // the first that can be executed
    char* const* arguments;
    char* const* environment;
    std::span<const int> keep;
    const char* directory;
    bool as_one_user;
    const ProgramStart* more = nullptr;
};

/// False when a call failed, of which last_error() tells.
bool set_streams(std::array<int, 3> streams) noexcept {
    constexpr int first_free = 3;
    // One that is to get another number goes out of the way of the others first.
    for (std::size_t i = 0; i < streams.size(); ++i) {
        int& from = streams[i];
        if (from >= 0 && from < first_free && from != static_cast<int>(i)) {
            from = ::fcntl(from, F_DUPFD, first_free);
            if (from < 0) {
                return false;
            }
        }
    }
    for (std::size_t i = 0; i < streams.size(); ++i) {
        const int stream = static_cast<int>(i);
        const int from = streams[i];
        if (from == stream ? ::fcntl(stream, F_SETFD, 0) != 0
                           : from >= 0 && ::dup2(from, stream) < 0) {
            return false;
        }
    }
    return true;
}

bool set_groups(const std::vector<gid_t>& groups) noexcept {
#ifdef SYS_setgroups32
    return ::syscall(SYS_setgroups32, groups.size(), groups.data()) == 0;
#else
    return ::syscall(SYS_setgroups, groups.size(), groups.data()) == 0;
#endif
}

bool set_up(const Launch& launch) noexcept {
    if (launch.directory[0] != '\0' && ::chdir(launch.directory) != 0) {
        return false;
    }
    const ProgramStart* more = launch.more;
    if (more != nullptr) {
        if (more->umask) {
            ::umask(*more->umask);
        }
        if (!set_streams(more->streams) || (more->new_session && ::setsid() < 0) ||
            (more->extra_groups && !set_groups(*more->extra_groups))) {
            return false;
        }
    }
    const bool given_ids = more != nullptr && (more->user || more->group);
    if (!launch.as_one_user && !given_ids) {
        return true;
    }
    const uid_t user = given_ids && more->user ? *more->user : ::geteuid();
    const gid_t group = given_ids && more->group ? *more->group : ::getegid();
    return act_as_one_user(user, group);
}

[[noreturn]] void become(const Launch& launch, volatile int& error) noexcept {
    if (!set_up(launch)) {
        error = last_error().value();
        ::_exit(127);
    }
    // So that nothing that the program opens before it comes to us lands there.
    fill_standard_streams();
    if (!inherit_only(launch.keep)) {
        error = ENOSYS;
        ::_exit(127);
    }
    restore_signals();
    int refused = 0;
    for (const char* program : launch.programs) {
        ::execve(program, launch.arguments, launch.environment);
        const int failed = last_error().value();
        // A file that is there says more than one that is not.
        if (refused == 0 || (failed != ENOENT && failed != ENOTDIR)) {
            refused = failed;
        }
        if (failed != ENOENT && failed != ENOTDIR && failed != EACCES) {
            break;
        }
    }
    error = refused == 0 ? ENOENT : refused;
    ::_exit(127);
}

// END OF CHILD SIDE

/// Sets `error` and returns -1, or the pid of a child that is to be reaped, when there
/// is no program. A function of its own: the child of vfork shares its variables.
[[gnu::noinline]] pid_t vfork_program(const Launch& launch, volatile int& error) {
    // A handler that ran in the child would do so in our memory.
    const SignalsBlocked blocked;
    // ThreadSanitizer makes a fork of a vfork, with all its handlers: in the child they
    // would wait for ever for what the sanitizer's allocator held at that moment.
    const bool without_handlers = under_tsan && ::_Fork != nullptr;
    const pid_t pid = without_handlers ? ::_Fork() : ::vfork();
    if (pid == 0) {
        become(launch, error);
    }
    if (pid < 0) {
        error = last_error().value();
    }
    return pid;
}

/// Adds what is set; the strings live as long as what is returned.
std::vector<std::string>
add_changes(std::vector<char*>& environment, const Surroundings& surroundings) {
    std::vector<std::string> set;
    if (surroundings.environment != nullptr) {
        set.reserve(surroundings.environment->size());
        for (const auto& [name, value] : *surroundings.environment) {
            if (value) {
                environment.push_back(
                    set.emplace_back(std::string(name) + "=" + *value).data()
                );
            }
        }
    }
    return set;
}

/// Looks into an entry only where something is to change: another thread may be
/// changing them.
bool is_changed(const char* entry, const Surroundings& surroundings) {
    if (surroundings.environment == nullptr || surroundings.environment->empty()) {
        return false;
    }
    const std::string_view text(entry);
    const auto name = text.substr(0, text.find('='));
    return surroundings.environment->count(std::string(name)) != 0;
}

pid_t launched(const Launch& launch) {
    volatile int error = 0;  // the child writes here
    const pid_t pid = vfork_program(launch, error);
    if (error != 0) {
        if (pid > 0) {
            restarting([&] { return ::waitpid(pid, nullptr, 0); });
        }
        throw_error(error, (std::string("exec ") + launch.arguments[0]).c_str());
    }
    return pid;
}

/// As exec takes them; it changes none of them.
std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (const std::string& text : texts) {
        pointers.push_back(const_cast<char*>(text.c_str()));
    }
    pointers.push_back(nullptr);
    return pointers;
}

}  // namespace

pid_t start_program(
    const std::string& program,
    const std::vector<std::string>& arguments,
    std::span<const int> keep,
    const std::string& variable,
    const Surroundings& surroundings
) {
    // All that needs memory, before there is a child.
    std::vector<char*> argv;
    argv.push_back(const_cast<char*>(program.c_str()));
    for (const std::string& argument : arguments) {
        argv.push_back(const_cast<char*>(argument.c_str()));
    }
    argv.push_back(nullptr);
    std::vector<char*> environment;
    if (!variable.empty()) {
        // The first of a name is the one that counts. The others are not looked into:
        // another thread may be changing them.
        environment.push_back(const_cast<char*>(variable.c_str()));
    }
    const std::vector<std::string> changed = add_changes(environment, surroundings);
    for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
        if (!is_changed(*entry, surroundings)) {
            environment.push_back(*entry);
        }
    }
    environment.push_back(nullptr);
    const std::array programs{program.c_str()};
    return launched(
        {.programs = programs,
         .arguments = argv.data(),
         .environment = environment.data(),
         .keep = keep,
         .directory = surroundings.directory.c_str(),
         .as_one_user = has_several_users()}
    );
}

pid_t start_program(const ProgramStart& start) {
    std::vector<const char*> programs;
    for (const std::string& path : start.paths) {
        programs.push_back(path.c_str());
    }
    const std::vector<char*> arguments = pointers_to(start.arguments);
    std::vector<char*> environment;
    if (start.environment) {
        environment = pointers_to(*start.environment);
    } else {
        for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
            environment.push_back(*entry);
        }
        environment.push_back(nullptr);
    }
    return launched(
        {.programs = programs,
         .arguments = arguments.data(),
         .environment = environment.data(),
         .keep = start.keep,
         .directory = start.directory.c_str(),
         .as_one_user = has_several_users(),
         .more = &start}
    );
}

namespace {

constexpr const char* own_link = "/proc/self/exe";

bool same_file(const char* a, const char* b) noexcept {
    struct stat of_a {};
    struct stat of_b {};
    return ::stat(a, &of_a) == 0 && ::stat(b, &of_b) == 0 &&
           of_a.st_ino == of_b.st_ino && of_a.st_dev == of_b.st_dev;
}

const char* started_as() noexcept {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): so the kernel passes it
    const auto* const name = reinterpret_cast<const char*>(::getauxval(AT_EXECFN));
    return name != nullptr ? name : "";
}

// Whether the kernel would start this program by the dynamic loader.
bool has_loader() noexcept {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): so the kernel passes it
    const auto* at = reinterpret_cast<const ElfW(Phdr)*>(::getauxval(AT_PHDR));
    const auto* const end = at + ::getauxval(AT_PHNUM);
    return at != nullptr && std::any_of(at, end, [](const auto& one) {
               return one.p_type == PT_INTERP;
           });
}

// The program that was given to the dynamic loader by hand (ld.so ./program): then
// the kernel knows the loader alone. Noted at load, before anybody changes the folder.
std::array<char, PATH_MAX> given_to_loader{};
// What stood before the program's name: options of the loader. Never destroyed.
const std::vector<std::string>* loader_options = nullptr;

std::vector<std::string> options_before_program(std::size_t arguments_of_program) {
    const std::string text = text_of_file("/proc/self/cmdline").value_or("");
    std::vector<std::string> words;  // which may be empty
    for (std::size_t at = 0; at < text.size(); at += words.back().size() + 1) {
        words.push_back(text.substr(at, text.find('\0', at) - at));
    }
    if (words.size() <= arguments_of_program) {
        return {};
    }
    words.resize(words.size() - arguments_of_program);
    words.erase(words.begin());
    return words;
}

[[gnu::constructor(101)]] void look_for_loader(int argc, char**, char**) {
    // A script's interpreter is named otherwise than it was started, too; the kernel
    // has given that to the loader itself (AT_BASE), or it needs none.
    if (::getauxval(AT_BASE) != 0 || !has_loader() || ::access(own_link, F_OK) != 0 ||
        same_file(own_link, started_as())) {
        return;
    }
    if (::realpath(started_as(), given_to_loader.data()) == nullptr) {
        given_to_loader.front() = '\0';
        return;
    }
    loader_options =
        new std::vector(options_before_program(static_cast<std::size_t>(argc)));
}

}  // namespace

std::string own_program() {
    std::array<char, 4096> path{};
    const auto length = ::readlink(own_link, path.data(), path.size() - 1);
    if (length > 0 && same_file(path.data(), own_link)) {
        return {path.data(), static_cast<std::size_t>(length)};
    }
    // Without /proc there is still the name that the kernel was given.
    return length < 0 && ::access(started_as(), X_OK) == 0 ? started_as() : own_link;
}

std::string own_file() {
    if (given_to_loader.front() != '\0') {
        return given_to_loader.data();
    }
    return ::access(own_link, R_OK) == 0 ? own_link : own_program();
}

std::vector<std::string> own_first_arguments() {
    if (given_to_loader.front() == '\0') {
        return {};
    }
    std::vector<std::string> arguments = *loader_options;
    arguments.emplace_back(given_to_loader.data());
    return arguments;
}

bool has_proc() noexcept {
    return ::access("/proc/self", F_OK) == 0;
}

const char* program_short_name() noexcept {
    return program_invocation_short_name;
}

}  // namespace mp::os
