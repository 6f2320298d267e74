//! From a frame to a packet.

use super::{Frame, connect_version};
use crate::packet::{
    Ack, Auth, Codes, Connack, Connect, Disconnect, Packet, Publish, QoS, Subscribe,
    SubscriptionOptions, Unsubscribe, Version, Will,
};
use crate::property::{Place, Properties, PropertyId};
use crate::read::Reader;
use crate::reason::{Carrier, ProtocolError, ReasonCode};

type Result<T> = std::result::Result<T, ProtocolError>;

/// Reads one packet. A CONNECT is read in the version it asks for; `version` is that of the
/// connection for every other packet.
///
/// # Errors
/// The reason code that the specification gives, for a DISCONNECT or a refusing CONNACK.
pub fn decode<'a>(frame: &Frame<'a>, version: Version) -> Result<Packet<'a>> {
    let kind = frame.first >> 4;
    let version = if kind == 1 { connect_version(frame)? } else { version };
    if matches!(kind, 6 | 8 | 10) && frame.first & 0b1000 != 0 && version != Version::V31 {
        return Err(ProtocolError::malformed("reserved bits of the first byte"));
    }
    if frame.padded && version.is_v5() {
        return Err(ProtocolError::malformed("length is not in its shortest form"));
    }
    let mut reader = Reader::new(frame.body);
    let r = &mut reader;
    let packet = match kind {
        1 => Packet::Connect(Box::new(connect(r, version)?)),
        2 => Packet::Connack(connack(r, version)?),
        3 => return publish(r, frame.first, version).map(Packet::Publish),
        4 => Packet::Puback(ack(r, version, Carrier::Ack)?),
        5 => Packet::Pubrec(ack(r, version, Carrier::Ack)?),
        6 => Packet::Pubrel(ack(r, version, Carrier::Release)?),
        7 => Packet::Pubcomp(ack(r, version, Carrier::Release)?),
        8 => Packet::Subscribe(subscribe(r, version)?),
        9 => Packet::Suback(codes(r, version, Carrier::Suback)?),
        10 => Packet::Unsubscribe(unsubscribe(r, version)?),
        11 => Packet::Unsuback(codes(r, version, Carrier::Unsuback)?),
        12 => Packet::Pingreq,
        13 => Packet::Pingresp,
        14 => Packet::Disconnect(disconnect(r, version)?),
        15 if version.is_v5() => Packet::Auth(auth(r)?),
        _ => return Err(ProtocolError::malformed("packet type of another version")),
    };
    if !reader.is_empty() {
        return Err(ProtocolError::malformed("bytes behind the end of the packet"));
    }
    Ok(packet)
}

fn properties<'a>(r: &mut Reader<'a>, version: Version, place: Place) -> Result<Properties<'a>> {
    if version.is_v5() { Properties::read(r, place) } else { Ok(Properties::EMPTY) }
}

/// The fields of the payload in their order [MQTT-3.1.3-1]; the flags say which are there
/// [MQTT-3.1.2-9] [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-18] [MQTT-3.1.2-19]. Anything else is
/// no CONNECT [MQTT-3.1.4-1].
fn connect<'a>(r: &mut Reader<'a>, version: Version) -> Result<Connect<'a>> {
    r.binary()?;
    r.u8()?;
    let flags = r.u8()?;
    check_connect_flags(flags, version)?;
    let keep_alive = r.u16()?;
    let properties = properties(r, version, Place::Connect)?;
    // [MQTT-3.1.3-3] [MQTT-3.1.3-4]
    let client_id = r.string()?;
    let will = if flags & 0b100 != 0 { Some(will(r, flags, version)?) } else { None };
    // In 3.1 both may be missing in spite of their flags: there the remaining length decides.
    let missing = |r: &Reader<'_>| version == Version::V31 && r.is_empty();
    // [MQTT-3.1.3-12]
    let username = if flags & 0x80 != 0 && !missing(r) { Some(r.string()?) } else { None };
    let password = if flags & 0x40 != 0 && !missing(r) { Some(r.binary()?) } else { None };
    Ok(Connect {
        version,
        clean_start: flags & 0b10 != 0,
        keep_alive,
        client_id,
        will,
        username,
        password,
        properties,
    })
}

/// [MQTT-3.1.2-3] [MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-13], and before 5.0 no password
/// without a user name (its section 3.1.2.9).
fn check_connect_flags(flags: u8, version: Version) -> Result<()> {
    if flags & 1 != 0 {
        return Err(ProtocolError::malformed("reserved bit of the connect flags"));
    }
    if flags & 0b100 == 0 && flags & 0b11_1000 != 0 {
        return Err(ProtocolError::malformed("will QoS or will retain without a will"));
    }
    if flags >> 3 & 0b11 == 3 {
        return Err(ProtocolError::malformed("will QoS 3"));
    }
    if !version.is_v5() && flags & 0xC0 == 0x40 {
        return Err(ProtocolError::malformed("password without a user name"));
    }
    Ok(())
}

fn will<'a>(r: &mut Reader<'a>, flags: u8, version: Version) -> Result<Will<'a>> {
    let properties = properties(r, version, Place::Will)?;
    // [MQTT-3.1.3-11]
    let topic = r.string()?;
    let payload = r.binary()?;
    let qos = QoS::from_bits(flags >> 3 & 0b11).ok_or(ProtocolError::malformed("will QoS 3"))?;
    Ok(Will { qos, retain: flags & 0x20 != 0, topic, payload, properties })
}

fn connack<'a>(r: &mut Reader<'a>, version: Version) -> Result<Connack<'a>> {
    let flags = r.u8()?;
    if flags & !1 != 0 {
        // [MQTT-3.2.2-1]
        return Err(ProtocolError::malformed("reserved bits of the connack flags"));
    }
    let code = r.u8()?;
    let reason = if version.is_v5() {
        // [MQTT-3.2.2-8]
        ReasonCode::carried(code, Carrier::Connack)?
    } else {
        refusal_311(code)?
    };
    let properties = properties(r, version, Place::Connack)?;
    Ok(Connack { session_present: flags == 1, reason, properties })
}

fn refusal_311(code: u8) -> Result<ReasonCode> {
    Ok(match code {
        0 => ReasonCode::Success,
        1 => ReasonCode::UnsupportedProtocolVersion,
        2 => ReasonCode::ClientIdentifierNotValid,
        3 => ReasonCode::ServerUnavailable,
        4 => ReasonCode::BadUserNameOrPassword,
        5 => ReasonCode::NotAuthorized,
        _ => return Err(ProtocolError::malformed("unknown connack return code")),
    })
}

/// A 3.1.1 SUBACK knows four codes (its section 3.9.3).
fn granted_311(code: u8) -> Result<ReasonCode> {
    match code {
        0..=2 | 0x80 => ReasonCode::carried(code, Carrier::Suback),
        _ => Err(ProtocolError::malformed("unknown suback return code")),
    }
}

/// The topic comes first [MQTT-3.3.2-1], the identifier not with QoS 0 [MQTT-2.2.1-2].
fn publish<'a>(r: &mut Reader<'a>, first: u8, version: Version) -> Result<Publish<'a>> {
    let qos = QoS::from_bits(first >> 1 & 0b11).ok_or(ProtocolError::malformed("QoS 3"))?;
    let dup = first & 0b1000 != 0;
    if dup && qos == QoS::AtMostOnce {
        // [MQTT-3.3.1-2]
        return Err(ProtocolError::malformed("DUP with QoS 0"));
    }
    let topic = r.string()?;
    let packet_id = if qos == QoS::AtMostOnce { None } else { Some(r.packet_id()?) };
    let properties = properties(r, version, Place::Publish)?;
    let payload = r.take_rest();
    Ok(Publish { dup, qos, retain: first & 1 != 0, packet_id, topic, properties, payload })
}

/// In 5.0 the reason [MQTT-3.4.2-1] and the properties may be left out (section 3.4.2.1).
fn ack<'a>(r: &mut Reader<'a>, version: Version, carrier: Carrier) -> Result<Ack<'a>> {
    let packet_id = r.packet_id()?;
    if !version.is_v5() || r.is_empty() {
        return Ok(Ack::new(packet_id, ReasonCode::Success));
    }
    let reason = ReasonCode::carried(r.u8()?, carrier)?;
    let properties =
        if r.is_empty() { Properties::EMPTY } else { Properties::read(r, Place::Ack)? };
    Ok(Ack { packet_id, reason, properties })
}

fn subscribe<'a>(r: &mut Reader<'a>, version: Version) -> Result<Subscribe<'a>> {
    let packet_id = r.packet_id()?;
    let properties = properties(r, version, Place::Subscribe)?;
    let mut filters = Vec::new();
    while !r.is_empty() {
        // [MQTT-3.8.3-1]
        let filter = r.string()?;
        let bits = r.u8()?;
        if version.is_v5() && (bits & 0b11 == 3 || bits >> 4 & 0b11 == 3) {
            return Err(ProtocolError::protocol("QoS 3 or retain handling 3"));
        }
        let options = SubscriptionOptions::from_bits(bits)
            .filter(|o| version.is_v5() || *o == SubscriptionOptions::qos(o.qos))
            .ok_or(ProtocolError::malformed("reserved bits of the subscription options"))?;
        filters.push((filter, options));
    }
    if filters.is_empty() {
        // section 3.8.3
        return Err(ProtocolError::protocol("SUBSCRIBE without a filter"));
    }
    Ok(Subscribe { packet_id, properties, filters })
}

/// One code a filter, each of those that its packet has [MQTT-3.11.3-2]; a 3.1.1 UNSUBACK ends with
/// its identifier.
fn codes<'a>(r: &mut Reader<'a>, version: Version, carrier: Carrier) -> Result<Codes<'a>> {
    let packet_id = r.packet_id()?;
    let properties = properties(r, version, Place::Codes)?;
    let reasons = if version.is_v5() {
        let codes = r.take_rest().iter();
        codes.map(|&code| ReasonCode::carried(code, carrier)).collect::<Result<_>>()?
    } else if carrier == Carrier::Suback {
        r.take_rest().iter().map(|&code| granted_311(code)).collect::<Result<_>>()?
    } else {
        Vec::new()
    };
    Ok(Codes { packet_id, properties, reasons })
}

fn unsubscribe<'a>(r: &mut Reader<'a>, version: Version) -> Result<Unsubscribe<'a>> {
    let packet_id = r.packet_id()?;
    let properties = properties(r, version, Place::Unsubscribe)?;
    let mut filters = Vec::new();
    while !r.is_empty() {
        // [MQTT-3.10.3-1]
        filters.push(r.string()?);
    }
    if filters.is_empty() {
        // [MQTT-3.10.3-2]
        return Err(ProtocolError::protocol("UNSUBSCRIBE without a filter"));
    }
    Ok(Unsubscribe { packet_id, properties, filters })
}

fn disconnect<'a>(r: &mut Reader<'a>, version: Version) -> Result<Disconnect<'a>> {
    if !version.is_v5() {
        return Ok(Disconnect { reason: ReasonCode::Success, properties: Properties::EMPTY });
    }
    // [MQTT-3.14.2-1]
    let (reason, properties) = reason_and_properties(r, Carrier::Disconnect, Place::Disconnect)?;
    Ok(Disconnect { reason, properties })
}

/// Without a body it is a success; else it names its method (section 3.15.2.2.2).
fn auth<'a>(r: &mut Reader<'a>) -> Result<Auth<'a>> {
    let short = r.is_empty();
    // [MQTT-3.15.2-1]
    let (reason, properties) = reason_and_properties(r, Carrier::Auth, Place::Auth)?;
    if !short && properties.text(PropertyId::AuthenticationMethod).is_none() {
        return Err(ProtocolError::protocol("AUTH without an authentication method"));
    }
    Ok(Auth { reason, properties })
}

/// Both may be left out when the reason is success (sections 3.14.2.1, 3.15.2.1).
fn reason_and_properties<'a>(
    r: &mut Reader<'a>,
    carrier: Carrier,
    place: Place,
) -> Result<(ReasonCode, Properties<'a>)> {
    if r.is_empty() {
        return Ok((ReasonCode::Success, Properties::EMPTY));
    }
    let reason = ReasonCode::carried(r.u8()?, carrier)?;
    let properties = if r.is_empty() { Properties::EMPTY } else { Properties::read(r, place)? };
    Ok((reason, properties))
}
