// SPDX-License-Identifier: BSL-1.0
// How the exceptions of std and mp are written and made again, and the list of all.
#include "data/exception_types.hpp"

#include "mp/errors.hpp"
#include "mp/remote_error.hpp"

#include "data/ended_early.hpp"

#include <algorithm>
#include <any>
#include <array>
#include <filesystem>
#include <functional>
#include <future>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <regex>
#include <stdexcept>
#include <system_error>
#include <variant>

namespace mp {

namespace detail {

namespace {

constinit std::atomic<const ExceptionType*> newest_type{nullptr};

struct KnownCategory {
    const std::error_category* category;
    const KnownCategory* next;
};

constinit std::atomic<const KnownCategory*> newest_category{nullptr};

const std::error_category* category_named(const std::string& name) {
    for (const std::error_category* category :
         {&std::generic_category(),
          &std::system_category(),
          &std::iostream_category(),
          &std::future_category()}) {
        if (category->name() == name) {
            return category;
        }
    }
    // order: pairs with register_error_category, so that the entry is seen whole
    const auto* known = newest_category.load(std::memory_order_acquire);
    // The first one registered is the last one here.
    const std::error_category* found = nullptr;
    for (; known != nullptr; known = known->next) {
        if (known->category->name() == name) {
            found = known->category;
        }
    }
    return found;
}

void put_code(ByteWriter& out, const std::error_code& code) {
    out.put_text(code.category().name());
    out.put_value(code.value());
}

std::optional<std::error_code> get_code(ByteReader& in) {
    const auto* category = category_named(in.get_text());
    const auto value = in.get_value<int>();
    if (category == nullptr) {
        return std::nullopt;
    }
    return std::error_code(value, *category);
}

/// What a std::system_error with this what() was constructed with, besides the code:
/// what() is "<text>: <message of the code>", or the message alone.
std::optional<std::string>
text_before_code(const std::string& what, const std::error_code& code) {
    const std::string message = code.message();
    if (what == message) {
        return std::nullopt;
    }
    const std::string end = ": " + message;
    return what.ends_with(end) ? what.substr(0, what.size() - end.size()) : what;
}

/// Calls `use` with the exception being handled.
template <class E, class Use>
void with_current(Use use) {
    try {
        throw;
    } catch (const E& error) {
        use(error);
    }
}

// ---- one maker for each way of construction

template <class E>
std::exception_ptr
make_default(ByteReader&, const std::string&, const std::exception_ptr& cause) {
    return with_cause(E(), cause);
}

template <class E>
void save_code(ByteWriter& out) {
    with_current<E>([&](const auto& error) { put_code(out, error.code()); });
}

std::exception_ptr make_system_error(
    ByteReader& in, const std::string& what, const std::exception_ptr& cause
) {
    const auto code = get_code(in);
    if (!code) {
        return nullptr;
    }
    const auto text = text_before_code(what, *code);
    return with_cause(
        text ? std::system_error(*code, *text) : std::system_error(*code), cause
    );
}

std::exception_ptr make_ios_failure(
    ByteReader& in, const std::string& what, const std::exception_ptr& cause
) {
    const auto code = get_code(in);
    if (!code) {
        return nullptr;
    }
    return with_cause(
        std::ios_base::failure(text_before_code(what, *code).value_or(""), *code), cause
    );
}

std::exception_ptr
make_future_error(ByteReader& in, const std::string&, const std::exception_ptr& cause) {
    const auto code = get_code(in);
    if (!code || code->category() != std::future_category()) {
        return nullptr;
    }
    return with_cause(
        std::future_error(static_cast<std::future_errc>(code->value())), cause
    );
}

void save_regex_error(ByteWriter& out) {
    with_current<std::regex_error>([&](const auto& error) {
        out.put_value(static_cast<int>(error.code()));
    });
}

std::exception_ptr
make_regex_error(ByteReader& in, const std::string&, const std::exception_ptr& cause) {
    const auto code = in.get_value<int>();
    return with_cause(
        std::regex_error(static_cast<std::regex_constants::error_type>(code)), cause
    );
}

void save_filesystem_error(ByteWriter& out) {
    with_current<std::filesystem::filesystem_error>([&](const auto& error) {
        put_code(out, error.code());
        out.put_text(error.path1().native());
        out.put_text(error.path2().native());
    });
}

std::exception_ptr make_filesystem_error(
    ByteReader& in, const std::string& what, const std::exception_ptr& cause
) {
    const auto code = get_code(in);
    const std::filesystem::path path1(in.get_text());
    const std::filesystem::path path2(in.get_text());
    if (!code) {
        return nullptr;
    }
    // what() is "filesystem error: <text>: <message> [path1] [path2]".
    constexpr std::string_view prefix = "filesystem error: ";
    const std::size_t begin = what.starts_with(prefix) ? prefix.size() : 0;
    const std::size_t end = what.rfind(": " + code->message());
    const std::string text = end >= begin && end != std::string::npos
                                 ? what.substr(begin, end - begin)
                                 : what;
    if (path1.empty() && path2.empty()) {
        return with_cause(std::filesystem::filesystem_error(text, *code), cause);
    }
    return with_cause(
        path2.empty() ? std::filesystem::filesystem_error(text, path1, *code)
                      : std::filesystem::filesystem_error(text, path1, path2, *code),
        cause
    );
}

void save_buffer_too_short(ByteWriter& out) {
    with_current<BufferTooShort>([&](const auto& error) {
        out.put_value(static_cast<std::uint64_t>(error.message.size()));
        out.bulk(error.message.data(), error.message.size());
    });
}

std::exception_ptr make_buffer_too_short(
    ByteReader& in, const std::string&, const std::exception_ptr& cause
) {
    const auto bytes = in.view(in.get_value<std::uint64_t>());
    return with_cause(
        BufferTooShort(std::vector<std::byte>(bytes.begin(), bytes.end())), cause
    );
}

void save_spawn_error(ByteWriter& out) {
    with_current<SpawnError>([&](const auto& error) { out.put_value(error.stage); });
}

std::exception_ptr make_spawn_error(
    ByteReader& in, const std::string& what, const std::exception_ptr& cause
) {
    return with_cause(SpawnError(in.get_value<SpawnStage>(), what), cause);
}

void save_serialization_error(ByteWriter& out) {
    with_current<SerializationError>([&](const auto& error) {
        out.put_value(error.phase);
    });
}

std::exception_ptr make_serialization_error(
    ByteReader& in, const std::string& what, const std::exception_ptr& cause
) {
    return with_cause(
        SerializationError(in.get_value<SerializationPhase>(), what), cause
    );
}

void save_remote_error(ByteWriter& out) {
    with_current<RemoteError>([&](const auto& error) { out.put_text(error.type_name); }
    );
}

std::exception_ptr make_remote_error(
    ByteReader& in, const std::string& what, const std::exception_ptr& cause
) {
    return with_cause(RemoteError(in.get_text(), what), cause);
}

void save_system_exit(ByteWriter& out) {
    with_current<SystemExit>([&](const auto& exit) {
        out.put_value(exit.code());
        out.put_text(exit.text());
    });
}

std::exception_ptr
make_system_exit(ByteReader& in, const std::string&, const std::exception_ptr& cause) {
    const auto code = in.get_value<int>();
    const std::string text = in.get_text();
    return with_cause(text.empty() ? SystemExit(code) : SystemExit(text), cause);
}

// ---- the list

template <class... E>
void list_with_text() {
    (list_exception_type(exception_type<E>()), ...);
}

template <class E>
void list_default() {
    static constinit ExceptionType type{&typeid(E), nullptr, make_default<E>};
    list_exception_type(type);
}

template <class E>
void list(
    void (*save)(ByteWriter&),
    std::exception_ptr (*make
    )(ByteReader&, const std::string&, const std::exception_ptr&)
) {
    static ExceptionType type{&typeid(E), save, make};
    list_exception_type(type);
}

bool list_known_types() {
    list_with_text<
        std::logic_error,
        std::domain_error,
        std::invalid_argument,
        std::length_error,
        std::out_of_range,
        std::runtime_error,
        std::range_error,
        std::overflow_error,
        std::underflow_error>();
    list_with_text<
        StateError,
        ProcessError,
        TimeoutError,
        AuthenticationError,
        BinaryMismatch,
        EOFError,
        DamagedError,
        OwnerDied,
        BrokenBarrierError,
        MaybeEncodingError,
        ResourceLimitExceeded>();
    list_default<std::exception>();
    list_default<std::bad_exception>();
    list_default<std::bad_alloc>();
    list_default<std::bad_array_new_length>();
    list_default<std::bad_cast>();
    list_default<std::bad_typeid>();
    list_default<std::bad_any_cast>();
    list_default<std::bad_optional_access>();
    list_default<std::bad_variant_access>();
    list_default<std::bad_weak_ptr>();
    list_default<std::bad_function_call>();
    list_default<Empty>();
    list_default<Full>();
    list_default<ShutDown>();
    list<std::system_error>(save_code<std::system_error>, make_system_error);
    list<std::ios_base::failure>(save_code<std::ios_base::failure>, make_ios_failure);
    list<std::future_error>(save_code<std::future_error>, make_future_error);
    list<std::regex_error>(save_regex_error, make_regex_error);
    list<std::filesystem::filesystem_error>(
        save_filesystem_error, make_filesystem_error
    );
    list<BufferTooShort>(save_buffer_too_short, make_buffer_too_short);
    list<SpawnError>(save_spawn_error, make_spawn_error);
    list<EndedEarly>(save_spawn_error, make_spawn_error);
    list<SerializationError>(save_serialization_error, make_serialization_error);
    list<RemoteError>(save_remote_error, make_remote_error);
    list<SystemExit>(save_system_exit, make_system_exit);
    return true;
}

}  // namespace

void list_exception_type(ExceptionType& type) noexcept {
    if (type.listed.exchange(true)) {
        return;
    }
    const ExceptionType* newest = newest_type.load();
    do {
        type.next = newest;
    } while (!newest_type.compare_exchange_weak(newest, &type));
}

const ExceptionType* first_exception_type() noexcept {
    // Once, and before main() if nothing throws earlier.
    static const bool known = list_known_types();
    return known ? newest_type.load() : nullptr;
}

}  // namespace detail

void register_error_category(const std::error_category& category) {
    // Never freed: exceptions may still arrive while the program exits.
    auto* known = new detail::KnownCategory{&category, detail::newest_category.load()};
    while (!detail::newest_category.compare_exchange_weak(known->next, known)) {
    }
}

}  // namespace mp
