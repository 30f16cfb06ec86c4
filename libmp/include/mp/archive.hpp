// SPDX-License-Identifier: BSL-1.0
// OutArchive and InArchive: values to bytes and back, for one message.
// Python:  pickle.Pickler, pickle.Unpickler.
// Differs: types describe themselves by Boost.Serialization's `serialize`; the bytes do
//          not name them, so the reader has to ask for the type that was written.
// Threads: one at a time.  Owns: the full archive, once a pointer needs it.
// Throws:  SerializationError; what a serialize() throws, unchanged.
#pragma once

#include "mp/detail/archive_kind.hpp"
#include "mp/detail/bytes.hpp"
#include "mp/detail/nesting.hpp"
#include "mp/detail/tracked_class.hpp"

#include <boost/mpl/bool.hpp>
#include <boost/serialization/array_wrapper.hpp>
#include <boost/serialization/library_version_type.hpp>
#include <boost/serialization/serialization.hpp>
#include <boost/serialization/tracking.hpp>
#include <boost/serialization/version.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace mp {

namespace detail {

class FullOut;
class FullIn;

/// What pointers need. Defined in <mp/serialization.hpp>: a compiler that finds this
/// incomplete asks for that header, where the pointer is archived.
template <class T>
struct PointersNeedTheHeaderMpSerialization;

struct DeleteFull {
    void operator()(FullOut* full) const noexcept;
    void operator()(FullIn* full) const noexcept;
};

std::unique_ptr<FullOut, DeleteFull> make_full(ByteWriter& out);
std::unique_ptr<FullIn, DeleteFull> make_full(ByteReader& in);
void save_tracked(FullOut& full, const void* object, const std::type_info& type);
void load_tracked(FullIn& full, void* object, const std::type_info& type);
void note_move(FullIn& full, const void* to, const void* from);

[[noreturn]] void throw_encode_error(const char* what);
[[noreturn]] void throw_decode_error(const char* what);
[[noreturn]] void throw_bad_length(std::uint64_t length, std::size_t left);
[[noreturn]] void throw_no_memory(std::size_t elements);
/// Boost's make_array(): elements without their number.
template <class T>
inline constexpr bool is_array_wrapper = false;
template <class T>
inline constexpr bool is_array_wrapper<boost::serialization::array_wrapper<T>> = true;

/// A class can tell Boost that nobody asks for the identity of its objects.
template <class T>
inline constexpr bool is_never_tracked =
    boost::serialization::tracking_level<T>::value == boost::serialization::track_never;

template <class T>
inline constexpr bool has_class_version =
    boost::serialization::implementation_level<T>::value >=
    boost::serialization::object_class_info;

[[noreturn]] void
throw_newer_version(std::string_view type, unsigned written, unsigned known);
boost::serialization::library_version_type library_version();

}  // namespace detail

/// Writes values: `ar << x` or `ar & x`. Models Boost's saving archive, so a class's
/// `template <class Archive> void serialize(Archive&, unsigned)` can be given one.
class OutArchive {
public:
    using is_loading = boost::mpl::false_;
    using is_saving = boost::mpl::true_;

    /// Appends to `out`, which must outlive the archive.
    explicit OutArchive(detail::ByteWriter& out) : out_(out) {}

    template <class T>
    OutArchive& operator<<(const T& value) {
        save<detail::kind_of<T>()>(value);
        return *this;
    }

    template <class T>
    OutArchive& operator&(const T& value) {
        return *this << value;
    }

    /// Part of Boost's archive concept, for use in a serialize().
    void save_binary(const void* from, std::size_t size) { out_.bulk(from, size); }

    template <class T>
    void register_type(const T* = nullptr) {
        detail::PointersNeedTheHeaderMpSerialization<T>::register_type(full());
    }

    template <class Helper>
    Helper& get_helper(void* const id = nullptr) {
        return detail::PointersNeedTheHeaderMpSerialization<
            Helper>::template get_helper<Helper>(full(), id);
    }

    boost::serialization::library_version_type get_library_version() const {
        return detail::library_version();
    }

    unsigned get_flags() const { return 1; }  // Boost's no_header

    /// True once something went to the full archive, at a cost of about 1 us.
    bool went_full() const noexcept { return full_ != nullptr; }

private:
    detail::FullOut& full() {
        if (!full_) {
            full_ = detail::make_full(out_);
        }
        return *full_;
    }

    void put_count(std::size_t count) { out_.put_value(std::uint64_t{count}); }

    /// The byte before an object: 1 if the full archive has it. Both sides go by what
    /// is written, so that their registries need not agree.
    template <class T>
    bool put_tracked() {
        bool tracked = false;
        if constexpr (!detail::is_never_tracked<T>) {
            tracked = detail::tracked_class<T>.is_saved_through_pointers();
        }
        out_.put_value(static_cast<std::uint8_t>(tracked));
        return tracked;
    }

    template <class T>
    void save_tracked(const T& value) {
        detail::save_tracked(full(), std::addressof(value), typeid(T));
    }

    template <detail::Kind kind, class T>
    // NOLINTNEXTLINE(readability-function-size): the list is as long as there are kinds
    void save(const T& value) {
        using detail::Kind;
        if constexpr (kind == Kind::scalar || kind == Kind::primitive) {
            out_.put(std::addressof(value), sizeof(T));
        } else if constexpr (kind == Kind::boolean) {
            out_.put_value(static_cast<std::uint8_t>(value));
        } else if constexpr (kind == Kind::count) {
            put_count(static_cast<std::size_t>(value));
        } else if constexpr (kind == Kind::text) {
            put_count(value.size());
            out_.bulk(value.data(), value.size() * sizeof(value[0]));
        } else if constexpr (kind == Kind::array) {
            save_array(std::data(value), std::size(value));
        } else if constexpr (kind == Kind::duration) {
            *this << value.count();
        } else if constexpr (kind == Kind::time_point) {
            *this << value.time_since_epoch().count();
        } else if constexpr (kind == Kind::owner) {
            *this << (value != nullptr);
            if (value) {
                *this << *value;
            }
        } else if constexpr (kind == Kind::empty) {
            out_.put_value(std::uint8_t{0});
        } else if constexpr (kind == Kind::wrapper) {
            if constexpr (detail::is_array_wrapper<T>) {
                save_array(value.address(), value.count());
            } else {
                boost::serialization::serialize_adl(*this, const_cast<T&>(value), 0U);
            }
        } else if constexpr (kind == Kind::pointer) {
            using Named = std::remove_cv_t<std::remove_pointer_t<T>>;
            detail::PointersNeedTheHeaderMpSerialization<Named>::save(full(), value);
        } else if constexpr (kind == Kind::boost_archive) {
            detail::PointersNeedTheHeaderMpSerialization<T>::save_binary_archive(
                out_, value
            );
        } else {
            static_assert(
                kind != Kind::none,
                "values of this type mean nothing in another process: it is a view, a "
                "pointer to a non-class, a lambda with captures, a std::function, or a "
                "class that tells Boost that it is not serialisable"
            );
            if (put_tracked<T>()) {
                save_tracked(value);
                return;
            }
            const detail::Nesting nesting(depth_, detail::Direction::encode);
            save_untracked<kind>(value);
        }
    }

    template <detail::Kind kind, class T>
    void save_untracked(const T& value) {
        using detail::Kind;
        if constexpr (kind == Kind::sequence) {
            save_sequence(value);
        } else if constexpr (kind == Kind::set) {
            put_count(value.size());
            for (const auto& key : value) {
                *this << key;
            }
        } else if constexpr (kind == Kind::map) {
            put_count(value.size());
            for (const auto& [key, mapped] : value) {
                *this << key << mapped;
            }
        } else if constexpr (kind == Kind::tuple) {
            std::apply(
                [this](const auto&... members) { ((*this << members), ...); }, value
            );
        } else if constexpr (kind == Kind::optional) {
            *this << value.has_value();
            if (value) {
                *this << *value;
            }
        } else if constexpr (kind == Kind::variant) {
            if (value.valueless_by_exception()) {
                detail::throw_encode_error("a variant that holds no value");
            }
            out_.put_value(static_cast<std::uint32_t>(value.index()));
            std::visit([this](const auto& held) { *this << held; }, value);
        } else {
            constexpr unsigned version = class_version<T>();
            if constexpr (version > 0) {
                out_.put_value(version);
            }
            boost::serialization::serialize_adl(*this, const_cast<T&>(value), version);
        }
    }

    template <class T>
    void save_sequence(const T& value) {
        using Element = typename T::value_type;
        put_count(value.size());
        if constexpr (std::is_same_v<Element, bool>) {
            for (const bool element : value) {
                out_.put_value(static_cast<std::uint8_t>(element));
            }
        } else if constexpr (requires { value.data(); }) {
            save_array(value.data(), value.size());
        } else {
            for (const Element& element : value) {
                *this << element;
            }
        }
    }

    template <class T>
    void save_array(const T* first, std::size_t count) {
        if constexpr (detail::is_bitwise<T>()) {
            if constexpr (detail::may_be_pointed_at<T>) {
                if (put_tracked<T>()) {
                    for (std::size_t i = 0; i < count; ++i) {
                        save_tracked(first[i]);
                    }
                    return;
                }
            }
            out_.bulk(first, count * sizeof(T));
        } else {
            for (std::size_t i = 0; i < count; ++i) {
                *this << first[i];
            }
        }
    }

    template <class T>
    static constexpr unsigned class_version() {
        return detail::has_class_version<T>
                   ? static_cast<unsigned>(boost::serialization::version<T>::value)
                   : 0;
    }

    friend class InArchive;

    // Set once in the constructor.
    detail::ByteWriter& out_;
    // One thread at a time.
    std::unique_ptr<detail::FullOut, detail::DeleteFull> full_;
    int depth_ = 0;
};

/// Reads values: `ar >> x` or `ar & x`. Models Boost's loading archive.
class InArchive {
public:
    using is_loading = boost::mpl::true_;
    using is_saving = boost::mpl::false_;

    /// Reads on from where `in` stands; it must outlive the archive.
    explicit InArchive(detail::ByteReader& in) : in_(in) {}

    template <class T>
    InArchive& operator>>(T&& value) {
        using Plain = std::remove_cv_t<std::remove_reference_t<T>>;
        constexpr detail::Kind kind = detail::kind_of<Plain>();
        static_assert(
            kind == detail::Kind::wrapper ||
                !std::is_const_v<std::remove_reference_t<T>>,
            "a constant cannot be read into"
        );
        load<kind>(const_cast<Plain&>(value));
        return *this;
    }

    template <class T>
    InArchive& operator&(T&& value) {
        return *this >> std::forward<T>(value);
    }

    /// Part of Boost's archive concept, for use in a serialize().
    void load_binary(void* to, std::size_t size) { in_.bulk(to, size); }

    template <class T>
    void register_type(const T* = nullptr) {
        detail::PointersNeedTheHeaderMpSerialization<T>::register_type(full());
    }

    template <class Helper>
    Helper& get_helper(void* const id = nullptr) {
        return detail::PointersNeedTheHeaderMpSerialization<
            Helper>::template get_helper<Helper>(full(), id);
    }

    boost::serialization::library_version_type get_library_version() const {
        return detail::library_version();
    }

    unsigned get_flags() const { return 1; }  // Boost's no_header

    /// A loaded object has been moved: pointers to it follow.
    void reset_object_address(const void* to, const void* from) {
        if (full_) {
            detail::note_move(*full_, to, from);
        }
    }

    void delete_created_pointers() {
        // Nothing: a shared_ptr may own them already.
    }

private:
    detail::FullIn& full() {
        if (!full_) {
            full_ = detail::make_full(in_);
        }
        return *full_;
    }

    /// A number of elements, none of which can take fewer bytes than `least`.
    std::size_t get_count(std::size_t least) {
        const auto count = in_.get_value<std::uint64_t>();
        if (count > in_.left() / least) [[unlikely]] {
            detail::throw_bad_length(count, in_.left());
        }
        return static_cast<std::size_t>(count);
    }

    bool get_bool(const char* otherwise) {
        const auto byte = in_.get_value<std::uint8_t>();
        if (byte > 1) [[unlikely]] {
            detail::throw_decode_error(otherwise);
        }
        return byte != 0;
    }

    bool get_tracked() { return get_bool("an object begins with neither 0 nor 1"); }

    template <class T>
    void load_tracked(T& value) {
        detail::load_tracked(full(), std::addressof(value), typeid(T));
    }

    template <detail::Kind kind, class T>
    // NOLINTNEXTLINE(readability-function-size): the list is as long as there are kinds
    void load(T& value) {
        using detail::Kind;
        if constexpr (kind == Kind::scalar || kind == Kind::primitive) {
            in_.get(std::addressof(value), sizeof(T));
        } else if constexpr (kind == Kind::boolean) {
            value = get_bool("a bool is neither 0 nor 1");
        } else if constexpr (kind == Kind::count) {
            load_count(value);
        } else if constexpr (kind == Kind::text) {
            load_text(value);
        } else if constexpr (kind == Kind::array) {
            load_array(std::data(value), std::size(value));
        } else if constexpr (kind == Kind::duration) {
            typename T::rep count{};
            *this >> count;
            value = T(count);
        } else if constexpr (kind == Kind::time_point) {
            typename T::duration since{};
            *this >> since;
            value = T(since);
        } else if constexpr (kind == Kind::owner) {
            value.reset();
            if (get_bool("a unique_ptr begins with neither 0 nor 1")) {
                value = std::make_unique<typename T::element_type>();
                *this >> *value;
            }
        } else if constexpr (kind == Kind::empty) {
            in_.view(1);
        } else if constexpr (kind == Kind::wrapper) {
            if constexpr (detail::is_array_wrapper<T>) {
                load_array(value.address(), value.count());
            } else {
                boost::serialization::serialize_adl(*this, value, 0U);
            }
        } else if constexpr (kind == Kind::pointer) {
            using Named = std::remove_cv_t<std::remove_pointer_t<T>>;
            detail::PointersNeedTheHeaderMpSerialization<Named>::load(full(), value);
        } else if constexpr (kind == Kind::boost_archive) {
            detail::PointersNeedTheHeaderMpSerialization<T>::load_binary_archive(
                in_, value
            );
        } else {
            static_assert(
                kind != Kind::none,
                "values of this type mean nothing in another process: it is a view, a "
                "pointer to a non-class, a lambda with captures, a std::function, or a "
                "class that tells Boost that it is not serialisable"
            );
            if (get_tracked()) {
                load_tracked(value);
                return;
            }
            const detail::Nesting nesting(depth_, detail::Direction::decode);
            load_untracked<kind>(value);
        }
    }

    template <class T>
    void load_count(T& value) {
        // A size; the version numbers are never that large.
        constexpr bool size =
            std::is_same_v<T, boost::serialization::collection_size_type>;
        if constexpr (size) {
            value = T(get_count(1));
        } else {
            value = T(static_cast<unsigned>(in_.get_value<std::uint64_t>()));
        }
    }

    template <class T>
    void load_text(T& value) {
        using Char = typename T::value_type;
        const std::size_t count = get_count(sizeof(Char));
        if constexpr (sizeof(Char) == 1) {
            const auto bytes = in_.view(count);
            value.assign(reinterpret_cast<const Char*>(bytes.data()), count);
        } else {
            value.resize(count);
            in_.bulk(value.data(), count * sizeof(Char));
        }
    }

    template <detail::Kind kind, class T>
    void load_untracked(T& value) {
        using detail::Kind;
        if constexpr (kind == Kind::sequence) {
            load_sequence(value);
        } else if constexpr (kind == Kind::set) {
            using Key = typename T::key_type;
            const std::size_t count = get_count(detail::least_size<Key>());
            value.clear();
            reserve(value, count);
            for (std::size_t i = 0; i < count; ++i) {
                Key key{};
                *this >> key;
                const auto at = value.emplace_hint(value.end(), std::move(key));
                reset_object_address(std::addressof(*at), std::addressof(key));
            }
        } else if constexpr (kind == Kind::map) {
            load_map(value);
        } else if constexpr (kind == Kind::tuple) {
            std::apply([this](auto&... members) { ((*this >> members), ...); }, value);
        } else if constexpr (kind == Kind::optional) {
            using Value = typename T::value_type;
            static_assert(
                std::is_default_constructible_v<Value>,
                "a value is made first and read into then: give it a default "
                "constructor"
            );
            if (get_bool("an optional begins with neither 0 nor 1")) {
                *this >> value.emplace();
            } else {
                value.reset();
            }
        } else if constexpr (kind == Kind::variant) {
            load_variant(value);
        } else {
            load_object(value);
        }
    }

    template <class T>
    void load_sequence(T& value) {
        using Element = typename T::value_type;
        const std::size_t count = get_count(detail::least_size<Element>());
        value.clear();
        if constexpr (std::is_same_v<Element, bool>) {
            reserve(value, count);
            for (std::size_t i = 0; i < count; ++i) {
                value.push_back(get_bool("a bool is neither 0 nor 1"));
            }
        } else if constexpr (detail::is_bitwise<Element>() && requires {
                                 value.data();
                             }) {
            resize(value, count);
            load_array(value.data(), count);
        } else {
            // All the room first, as pointers may be read that point to elements.
            reserve(value, count);
            for (std::size_t i = 0; i < count; ++i) {
                *this >> value.emplace_back();
            }
        }
    }

    template <class T>
    void load_map(T& value) {
        using Key = typename T::key_type;
        using Mapped = typename T::mapped_type;
        const std::size_t count =
            get_count(detail::least_size<Key>() + detail::least_size<Mapped>());
        value.clear();
        reserve(value, count);
        for (std::size_t i = 0; i < count; ++i) {
            Key key{};
            *this >> key;
            const auto at = value.emplace_hint(
                value.end(),
                std::piecewise_construct,
                std::forward_as_tuple(std::move(key)),
                std::tuple<>()
            );
            reset_object_address(std::addressof(at->first), std::addressof(key));
            // In place, so that its address is final.
            *this >> at->second;
        }
    }

    template <class... T>
    void load_variant(std::variant<T...>& value) {
        static_assert(
            (std::is_default_constructible_v<T> && ...),
            "a value is made first and read into then: give each alternative a default "
            "constructor"
        );
        const auto index = in_.get_value<std::uint32_t>();
        if (index >= sizeof...(T)) [[unlikely]] {
            detail::throw_decode_error("a variant has no alternative of that index");
        }
        load_alternative(value, index, std::index_sequence_for<T...>());
    }

    template <class T, std::size_t... I>
    void load_alternative(T& value, std::size_t index, std::index_sequence<I...>) {
        (void)((index == I && (*this >> value.template emplace<I>(), true)) || ...);
    }

    template <class T>
    void load_object(T& value) {
        constexpr unsigned known = OutArchive::class_version<T>();
        unsigned version = known;
        if constexpr (known > 0) {
            version = in_.get_value<unsigned>();
            if (version > known) [[unlikely]] {
                detail::throw_newer_version(detail::type_name<T>(), version, known);
            }
        }
        boost::serialization::serialize_adl(*this, value, version);
    }

    template <class T>
    void load_array(T* first, std::size_t count) {
        if constexpr (detail::is_bitwise<T>()) {
            if constexpr (detail::may_be_pointed_at<T>) {
                if (get_tracked()) {
                    for (std::size_t i = 0; i < count; ++i) {
                        load_tracked(first[i]);
                    }
                    return;
                }
            }
            in_.bulk(first, count * sizeof(T));
        } else {
            for (std::size_t i = 0; i < count; ++i) {
                *this >> first[i];
            }
        }
    }

    template <class T>
    static void reserve(T& value, std::size_t count) {
        if constexpr (requires { value.reserve(count); }) {
            try {
                value.reserve(count);
            } catch (const std::bad_alloc&) {
                detail::throw_no_memory(count);
            } catch (const std::length_error&) {
                detail::throw_no_memory(count);
            }
        }
    }

    template <class T>
    static void resize(T& value, std::size_t count) {
        try {
            value.resize(count);
        } catch (const std::bad_alloc&) {
            detail::throw_no_memory(count);
        } catch (const std::length_error&) {
            detail::throw_no_memory(count);
        }
    }

    // Set once in the constructor.
    detail::ByteReader& in_;
    // One thread at a time.
    std::unique_ptr<detail::FullIn, detail::DeleteFull> full_;
    int depth_ = 0;
};

}  // namespace mp
